"""A mail server for tests: STARTTLS or TLS, authentication, and every mail in a file as it arrived.

Arguments: FOLDER MODE CERTIFICATE KEY, with MODE `starttls`, `implicit` or `plain`. Prints its port. Each mail becomes
FOLDER/N.eml, with its envelope in FOLDER/N.json. The only login is `tidewatch` with the password `canary-password`.
"""

import json
import pathlib
import ssl
import sys
import threading

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

folder, mode, certificate, key = pathlib.Path(sys.argv[1]), *sys.argv[2:5]


class Keep:
    count = 0

    async def handle_DATA(self, server, session, envelope):
        self.count += 1
        facts = {"from": envelope.mail_from, "to": envelope.rcpt_tos, "tls": session.ssl is not None,
                 "authenticated": session.authenticated}
        (folder / f"{self.count}.json").write_text(json.dumps(facts))
        (folder / f"{self.count}.part").write_bytes(envelope.original_content)
        (folder / f"{self.count}.part").rename(folder / f"{self.count}.eml")
        return "250 taken"


def login(server, session, envelope, mechanism, data):
    right = data.login == b"tidewatch" and data.password == b"canary-password"
    return AuthResult(success=right, handled=False)


context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
if mode != "plain":
    context.load_cert_chain(certificate, key)
options = {"hostname": "127.0.0.1", "port": 0, "server_hostname": "localhost"}
if mode != "plain":
    options |= {"authenticator": login, "auth_required": True, "auth_require_tls": mode == "starttls"}
if mode == "starttls":
    options |= {"tls_context": context, "require_starttls": True}


class AnyPort(Controller):
    def _trigger_server(self):
        """The original connects to its configured port, which is not known before it listens."""
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


server = AnyPort(Keep(), **options, **({"ssl_context": context} if mode == "implicit" else {}))
server.start()
print(server.port, flush=True)
threading.Event().wait()
