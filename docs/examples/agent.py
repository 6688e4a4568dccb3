"""Ask an SCGI application by treq, without a gateway between::

python agent.py scgi://127.0.0.1:4000/hello/world
python agent.py scgi://hello/ /run/hello.sock
"""

import sys

import treq.client
from twisted.internet.task import react

from scgiproxy.errors import BackendError
from scgiproxy.wire.agent import ScgiAgent


async def main(reactor, url, socket=None):
    client = treq.client.HTTPClient(ScgiAgent(reactor, socket, timeout=10))
    try:
        response = await client.get(url, params={"from": "agent.py"})
        print(response.code, await response.text(), end="")  # noqa: T201
    except BackendError as error:
        sys.exit(f"{error.log_key}: {error}")


if __name__ == "__main__":
    react(main, sys.argv[1:])
