"""Has a process of ours no TLS in memory until somebody uses it, and then all of Twisted's, by each of its ways?"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.authorities import family
from tests.real.children import environment

ROOT = Path(__file__).resolve().parent.parent
_TLS = "[name for name in sys.modules if name.partition('.')[0] in ('OpenSSL', 'cryptography')]"

# A server and a client that speak TLS with each other, in one process, each by the way that it is given.
_TALK = f"""
import sys
from twisted_wsgiref._twisted.late_tls import import_without_tls
if not import_without_tls():
    sys.exit("it was not done")
from twisted.internet import endpoints, interfaces, reactor, tcp
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ClientFactory, Factory, Protocol
if not interfaces.IReactorSSL.providedBy(reactor) or not interfaces.ITLSTransport.implementedBy(tcp.Server):
    sys.exit("TLS seems not to be there")
if {_TLS}:
    sys.exit("TLS is there already")
server_way, client_way, folder = sys.argv[1:]
said = Deferred()


def server_context():
    from twisted.internet.ssl import DefaultOpenSSLContextFactory
    return DefaultOpenSSLContextFactory(folder + "/key.pem", folder + "/cert.pem")


def client_context():
    from twisted.internet.ssl import CertificateOptions
    return CertificateOptions(verify=False)


class Echo(Protocol):
    def connectionMade(self):
        if server_way == "startTLS":
            self.transport.startTLS(server_context())

    def dataReceived(self, data):
        self.transport.write(data)


class Say(Protocol):
    def connectionMade(self):
        if client_way == "startTLS":
            self.transport.startTLS(client_context())
        self.transport.write(b"hello")

    def dataReceived(self, data):
        if data == b"hello" and self.transport.getPeerCertificate() is not None:
            said.callback(None)
        self.transport.loseConnection()


served = Factory.forProtocol(Echo)
if server_way == "listenSSL":
    port = reactor.listenSSL(0, served, server_context(), interface="127.0.0.1")
elif server_way == "ssl:":
    words = f"ssl:0:privateKey={{folder}}/key.pem:certKey={{folder}}/cert.pem:interface=127.0.0.1"
    endpoints.serverFromString(reactor, words).listen(served).addCallback(lambda made: globals().update(port=made))
else:
    port = reactor.listenTCP(0, served, interface="127.0.0.1")
number = port.getHost().port
if client_way == "connectSSL":
    client = ClientFactory.forProtocol(Say)
    reactor.connectSSL("127.0.0.1", number, client, client_context())
elif client_way == "wrapClientTLS":
    plain = endpoints.TCP4ClientEndpoint(reactor, "127.0.0.1", number)
    from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates
    pems = [open(f"{{folder}}/roots/{{name}}.pem").read() for name in ("root", "middle")]
    trust = trustRootFromCertificates([Certificate.loadPEM(pem) for pem in pems])
    secure = endpoints.wrapClientTLS(optionsForClientTLS("localhost", trustRoot=trust), plain)
    secure.connect(Factory.forProtocol(Say)).addErrback(said.errback)
else:
    reactor.connectTCP("127.0.0.1", number, ClientFactory.forProtocol(Say))
results = []
said.addBoth(results.append).addBoth(lambda _: reactor.stop())
reactor.callLater(20, reactor.stop)
reactor.run()
sys.exit(str(results) if results != [None] else 0)
"""


def run(code: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *words],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root, middle, leaf = family()
    made = tmp_path_factory.mktemp("tls")
    (made / "key.pem").write_bytes(leaf.key_pem())
    (made / "cert.pem").write_bytes(leaf.pem + middle.pem)
    (made / "roots").mkdir()
    (made / "roots" / "root.pem").write_bytes(root.pem)
    (made / "roots" / "middle.pem").write_bytes(middle.pem)
    return made


@pytest.mark.parametrize(
    ("server_way", "client_way"),
    [("startTLS", "startTLS"), ("listenSSL", "connectSSL"), ("ssl:", "connectSSL"), ("listenSSL", "wrapClientTLS")],
)
def test_each_of_twisteds_ways_to_tls_is_there_when_it_is_used(server_way: str, client_way: str, folder: Path) -> None:
    done = run(_TALK, server_way, client_way, str(folder))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_an_except_clause_of_an_endpoint_meets_the_real_error(folder: Path) -> None:
    code = """
import sys
from twisted_wsgiref._twisted.late_tls import import_without_tls
import_without_tls()
from twisted.internet import endpoints
endpoints.clientFromString(None, f"tls:localhost:443:trustRoots={sys.argv[1]}")
from OpenSSL.SSL import Error
sys.exit(0 if endpoints.SSLError is Error else "it is still another one")
"""
    done = run(code, str(folder / "roots"))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize("module", ["twisted_wsgiref._process.standalone", "twisted_wsgiref._process.worker"])
def test_a_process_of_ours_imports_no_tls(module: str) -> None:
    code = f"import sys, {module}\nfrom twisted.internet import reactor\nprint({_TLS})"
    done = run(code)
    assert done.stdout == "[]\n", done.stderr


def test_whoever_has_tls_already_keeps_it() -> None:
    code = """
import sys
from twisted.internet import endpoints
from twisted_wsgiref._twisted.late_tls import import_without_tls
from twisted.protocols.tls import TLSMemoryBIOFactory
sys.exit(import_without_tls() or endpoints.TLSMemoryBIOFactory is not TLSMemoryBIOFactory)
"""
    assert run(code).returncode == 0
