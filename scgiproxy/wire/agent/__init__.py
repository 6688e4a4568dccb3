"""SCGI applications asked as web servers are, through `twisted.web.iweb.IAgent`.

With treq, which knows nothing of SCGI::

    client = treq.client.HTTPClient(ScgiAgent(reactor))
    response = await client.get("scgi://localhost:4000/path", params={"q": "1"})
    print(response.code, await response.text())

    client = treq.client.HTTPClient(ScgiAgent(reactor, "/run/app.sock"))
    response = await client.post("scgi://app.example/form", data={"name": "Zoë"})
"""

from scgiproxy.wire.agent.request import ScgiAgent
from scgiproxy.wire.agent.response import AgentRequest, AgentResponse

__all__ = ["AgentRequest", "AgentResponse", "ScgiAgent"]
