"""Taking part in a federation: fetch the model, train on this device's examples, send the update.

:class:`~edge_client.federation.participant.Participant` joins the parts; all of them stand on its
one :class:`~shared.loop.Loop`. What must survive a crash is in
:mod:`~edge_client.federation.client_state`.
"""
