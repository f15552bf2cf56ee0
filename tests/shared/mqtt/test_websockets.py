"""The connection over websockets, against a real Mosquitto with a listener for them."""

import os

from shared.mqtt.broker_settings import BrokerSettings
from tests.brokers import WebMosquitto
from tests.peers import Peers
from tests.proxy import proxy_to

CHUNK = 64 << 10


def test_messages_pass_between_websockets_and_tcp(
    web_mosquitto: WebMosquitto, peers: Peers
) -> None:
    web = peers.connect(web_mosquitto.over_websockets, "web", "a/#").ready()
    plain = peers.connect(web_mosquitto.settings, "plain", "b/#").ready()
    # Few to receive: this Mosquitto sends 4 KB over websockets each tenth of a second.
    received, sent = ([os.urandom(CHUNK) for _ in range(count)] for count in (3, 40))
    for number, chunk in enumerate(received):
        assert plain.connection.publish(f"a/{number}", chunk)
    for number, chunk in enumerate(sent):
        assert web.connection.publish(f"b/{number}", chunk)
    for peer, chunks in ((web, received), (plain, sent)):
        peer.wait_for(len(chunks))
        assert [payload for _, payload in peer.messages] == chunks


def test_a_line_that_takes_half_a_frame_loses_nothing(
    web_mosquitto: WebMosquitto, peers: Peers
) -> None:
    plain = peers.connect(web_mosquitto.settings, "plain", "a/#").ready()
    with proxy_to(web_mosquitto.web_port) as proxy:
        proxy.narrow(1 << 20)
        web = peers.connect(BrokerSettings(host=f"ws://127.0.0.1:{proxy.port}"), "web").ready()
        chunks = [os.urandom(CHUNK - 777 * number) for number in range(30)]
        for number, chunk in enumerate(chunks):
            assert web.connection.publish(f"a/{number}", chunk)
        plain.wait_for(len(chunks))
        assert len(web.changes) == 1, "the connection lasts"
    assert [payload for _, payload in plain.messages] == chunks


def test_a_connection_over_websockets_comes_back(web_mosquitto: WebMosquitto, peers: Peers) -> None:
    peer = peers.connect(web_mosquitto.over_websockets, "web", "a").ready()
    peer.connection.begin_anew({"b": 1})
    peer.wait_for_change("is made anew")
    peer.ready()
    web_mosquitto.kill()
    peer.wait_for_change("was lost")
    web_mosquitto.start()
    peer.ready()
    sender = peers.connect(web_mosquitto.settings, "sender").ready()
    assert sender.connection.publish("b", b"1")
    peer.wait_for(1)


def test_a_will_is_told_of_who_is_lost_over_websockets(
    web_mosquitto: WebMosquitto, peers: Peers
) -> None:
    watching = peers.connect(web_mosquitto.settings, "watching", "gone").ready()
    leaving = peers.connect(web_mosquitto.over_websockets, "web", will=("gone", b"lost")).ready()
    leaving.connection.begin_anew({})
    watching.wait_for(1)
    assert watching.messages == [("gone", b"lost")]


def test_the_wrong_transport_is_one_sentence(web_mosquitto: WebMosquitto, peers: Peers) -> None:
    wrong = peers.connect(BrokerSettings(port=web_mosquitto.port, transport="websockets"), "web")
    said = wrong.wait_for_change("does not speak MQTT over websockets")
    assert "whether --transport should be tcp" in said
    other = peers.connect(BrokerSettings(port=web_mosquitto.web_port), "plain")
    assert "give --transport websockets" in other.wait_for_change("without an answer")
