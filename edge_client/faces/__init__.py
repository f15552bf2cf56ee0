"""What a device shows: the terminal with its keys, and Home Assistant.

They show what the device says and tell it what the person says; they decide nothing. The page is in
:mod:`edge_client.web`.
"""
