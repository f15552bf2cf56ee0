"""What any page of the project needs, whatever it shows.

A page is a list of Starlette routes. Here is what stands around them, in the order in which a
request meets it:

- :mod:`shared.web.server`: the address it listens at, the server in a thread of its own, its end;
- :mod:`shared.web.bounds`: how many connections there are, how large and how slow each may be;
- :mod:`shared.web.site`: who may see it and send it something, by :mod:`shared.web.access` (token,
  cookie, host, origin); what every answer says, by :mod:`shared.web.policy`; bodies read within a
  bound; a status, and no traceback, for whatever is sent;
- :mod:`shared.web.events`: server-sent events to all open pages, with a bounded queue for each.

:mod:`shared.web.link` writes its link and draws it for a phone's camera, and
:mod:`shared.web.files` reads a page's own files and those of ``static/``, which all pages have.

A page brings its routes, its files, its texts, and what publishes its events:
``edge_client/web/server.py`` puts that of a device together, ``aggregator/web/server.py`` that of
an aggregator. Nothing here knows of devices or aggregators. Starlette, Uvicorn and
sse-starlette are imported here alone and by a page's routes, and only once a page is served:
import :mod:`shared.web` where it is used.
"""
