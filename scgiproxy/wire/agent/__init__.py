"""SCGI applications asked as web servers are, through `twisted.web.iweb.IAgent`.

With treq, which knows nothing of SCGI::

    client = treq.client.HTTPClient(ScgiAgent(reactor))
    response = await client.get("scgi://localhost:4000/path", params={"q": "1"})
    print(response.code, await response.text())

    client = treq.client.HTTPClient(ScgiAgent(reactor, "/run/app.sock"))
    response = await client.post("scgi://app.example/form", data={"name": "Zoë"})

    tls = TlsSettings(authorities=(PemFile.read("/etc/ssl/our-ca.pem"),))
    client = treq.client.HTTPClient(ScgiAgent(reactor, tls=tls))
    response = await client.get("scgis://app.example:4001/")
"""

from scgiproxy.rules.tls import PemFile, TlsSettings, TlsVerify
from scgiproxy.wire.agent.request import ScgiAgent
from scgiproxy.wire.agent.response import AgentRequest, AgentResponse

__all__ = ["AgentRequest", "AgentResponse", "PemFile", "ScgiAgent", "TlsSettings", "TlsVerify"]
