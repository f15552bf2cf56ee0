"""What a device recognises, keeps, and is told by its person.

:class:`~edge_client.device.device.Device` joins the parts. Nothing here knows of a network, or of
what shows the device to people: they subscribe to its events.
"""
