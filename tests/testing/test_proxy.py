"""The TCP proxy, between sockets of the test."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic

import pytest

from elearning.cluster.embedded.ports import is_free
from elearning.errors import ClusterError, InvalidInput
from elearning.testing import links
from elearning.testing.links import MOST_BYTES
from elearning.testing.proxy import TcpProxy

WAIT = 10
QUIET = 0.15
MEGABYTE = 1 << 20


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        listener.settimeout(WAIT)
        yield listener


@pytest.fixture
def proxy(server: socket.socket) -> Iterator[TcpProxy]:
    with TcpProxy(server.getsockname()[1]) as opened:
        yield opened


def dial(proxy: TcpProxy) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", proxy.port), timeout=WAIT)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


@contextmanager
def connected(
    proxy: TcpProxy, server: socket.socket
) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Connect through the proxy; give the client's end and the server's."""
    with dial(proxy) as client, server.accept()[0] as far:
        far.settimeout(WAIT)
        far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield client, far


def receive(source: socket.socket, size: int) -> bytes:
    found = bytearray()
    while len(found) < size and (part := source.recv(MEGABYTE)):
        found += part
    return bytes(found)


def is_quiet(source: socket.socket) -> bool:
    """Tell whether nothing comes, not even an end."""
    source.settimeout(QUIET)
    try:
        source.recv(1)
    except TimeoutError:
        return True
    finally:
        source.settimeout(WAIT)
    return False


def send_in_thread(source: socket.socket, data: bytes) -> threading.Thread:
    thread = threading.Thread(target=source.sendall, args=(data,))
    thread.start()
    return thread


def reset(one: socket.socket) -> None:
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    one.close()


def test_bytes_come_through_both_ways_as_they_were(proxy: TcpProxy, server: socket.socket) -> None:
    data = os.urandom(8 * MEGABYTE)
    with connected(proxy, server) as (client, far):
        sending = [send_in_thread(client, data), send_in_thread(far, data[::-1])]
        assert receive(far, len(data)) == data
        assert receive(client, len(data)) == data[::-1]
        for thread in sending:
            thread.join()
    assert proxy.seen == 1
    proxy.wait_open(0)


@pytest.mark.parametrize("latency", [0, 0.005, 0.04])
def test_a_byte_takes_the_latency_each_way(
    proxy: TcpProxy, server: socket.socket, latency: float
) -> None:
    with connected(proxy, server) as (client, far):
        proxy.latency = latency
        assert proxy.latency == latency
        for source, target in ((client, far), (far, client)):
            taken: list[float] = []
            for _ in range(5):
                start = monotonic()
                source.sendall(b"x")
                assert target.recv(1) == b"x"
                taken.append(monotonic() - start)
            assert min(taken) >= latency
            assert min(taken) < latency + 0.004


def test_each_of_many_small_messages_takes_the_latency_alone(
    proxy: TcpProxy, server: socket.socket
) -> None:
    number, latency = 100, 0.04
    pace = threading.Event()
    arrived: list[float] = []
    sent: list[float] = []

    def read(far: socket.socket) -> None:
        while len(arrived) < number:
            size = len(far.recv(1024))
            arrived.extend([monotonic()] * size)

    with connected(proxy, server) as (client, far):
        proxy.latency = latency
        reader = threading.Thread(target=read, args=(far,))
        reader.start()
        for _ in range(number):
            sent.append(monotonic())
            client.sendall(b"x")
            pace.wait(0.001)
        reader.join()
    taken = sorted(end - start for start, end in zip(sent, arrived, strict=True))
    assert taken[0] >= latency
    # Not in lumps: then those that were sent at the wrong moment would take up to twice as long.
    assert taken[number // 2] < latency + 0.015


@pytest.mark.parametrize("latency", [0, 0.04])
def test_a_hundred_megabytes_come_soon(
    proxy: TcpProxy, server: socket.socket, latency: float
) -> None:
    data = bytes(100 * MEGABYTE)
    with connected(proxy, server) as (client, far):
        proxy.latency = latency
        start = monotonic()
        thread = send_in_thread(far, data)
        assert len(receive(client, len(data))) == len(data)
        # 0.2 s where nothing else runs.
        assert monotonic() - start < 4
        thread.join()


def test_a_new_connection_takes_a_round_trip_first(proxy: TcpProxy, server: socket.socket) -> None:
    proxy.latency = 0.03
    taken: list[float] = []
    for _ in range(3):
        start = monotonic()
        with connected(proxy, server) as (client, far):
            client.sendall(b"x")
            assert far.recv(1) == b"x"
            taken.append(monotonic() - start)
    assert 0.09 <= min(taken) < 0.09 + 0.025


def test_what_was_sent_later_comes_later_also_when_the_latency_falls(
    proxy: TcpProxy, server: socket.socket
) -> None:
    with connected(proxy, server) as (client, far):
        proxy.latency = 0.2
        start = monotonic()
        client.sendall(b"first")
        # The proxy has read it before it does anything else.
        wait_read(proxy)
        proxy.latency = 0
        client.sendall(b"second")
        assert receive(far, 11) == b"firstsecond"
        assert monotonic() - start >= 0.2


def wait_read(proxy: TcpProxy) -> None:
    """Wait until the proxy's thread has gone round twice: what lay there is read by then."""
    for _ in range(3):
        assert proxy.seen


def test_silence_holds_all_back_and_loses_nothing(proxy: TcpProxy, server: socket.socket) -> None:
    with connected(proxy, server) as (client, far):
        client.sendall(b"a")
        assert far.recv(1) == b"a"
        proxy.latency = 0.05
        client.sendall(b"on its way")

        proxy.silence()

        client.sendall(b"!")
        far.sendall(b"answer")
        assert is_quiet(far)
        assert is_quiet(client)
        with dial(proxy) as other:
            other.sendall(b"new")
            assert is_quiet(other)
            server.settimeout(QUIET)
            with pytest.raises(TimeoutError):
                server.accept()
            server.settimeout(WAIT)
            assert proxy.open == 2
            client.shutdown(socket.SHUT_WR)

            proxy.speak()

            assert receive(far, 12) == b"on its way!"
            assert far.recv(1) == b""
            assert receive(client, 6) == b"answer"
            with server.accept()[0] as third:
                third.settimeout(WAIT)
                assert receive(third, 3) == b"new"


def test_silence_hides_a_client_that_is_gone(proxy: TcpProxy, server: socket.socket) -> None:
    with connected(proxy, server) as (client, far):
        proxy.silence()
        reset(client)
        assert is_quiet(far)
        assert proxy.open == 1
        proxy.speak()
        with pytest.raises(ConnectionResetError):
            far.recv(1)
    proxy.wait_open(0)


def test_silence_stops_what_waits_for_a_slow_reader(proxy: TcpProxy, server: socket.socket) -> None:
    data = bytes(12 * MEGABYTE)
    with connected(proxy, server) as (client, far):
        thread = send_in_thread(client, data)
        # The proxy waits for room now, as nobody reads here.
        thread.join(WAIT)
        assert not thread.is_alive()
        proxy.silence()
        got = 0
        while not is_quiet(far):
            got += 1 + len(far.recv(MEGABYTE))
        assert got < len(data)
        proxy.speak()
        assert len(receive(far, len(data) - got)) == len(data) - got


def test_refusing_resets_all_and_keeps_the_port(proxy: TcpProxy, server: socket.socket) -> None:
    port = proxy.port
    with connected(proxy, server) as (client, far):
        proxy.refuse()
        proxy.refuse()
        for one in (client, far):
            with pytest.raises(ConnectionResetError):
                one.recv(1)
    with pytest.raises(ConnectionRefusedError):
        dial(proxy)
    assert not is_free(port)
    assert proxy.open == 0

    proxy.accept()
    proxy.accept()

    assert proxy.port == port
    with connected(proxy, server) as (client, far):
        client.sendall(b"x")
        assert far.recv(1) == b"x"
        assert proxy.open == 1


def test_cutting_resets_what_is_open(proxy: TcpProxy, server: socket.socket) -> None:
    with connected(proxy, server) as (client, far):
        proxy.silence()
        client.sendall(b"lost")
        proxy.cut()
        for one in (client, far):
            with pytest.raises(ConnectionResetError):
                one.recv(1)
    proxy.reset()
    with connected(proxy, server) as (client, far):
        client.sendall(b"x")
        assert far.recv(1) == b"x"


def test_reset_makes_it_a_good_network_again(proxy: TcpProxy, server: socket.socket) -> None:
    proxy.latency = 5
    proxy.silence()
    proxy.refuse()
    proxy.reset()
    start = monotonic()
    with connected(proxy, server) as (client, far):
        client.sendall(b"x")
        assert far.recv(1) == b"x"
    assert monotonic() - start < 1


def test_a_half_closed_connection_goes_on_the_other_way(
    proxy: TcpProxy, server: socket.socket
) -> None:
    proxy.latency = 0.01
    with connected(proxy, server) as (client, far):
        client.sendall(b"question")
        client.shutdown(socket.SHUT_WR)
        assert receive(far, 100) == b"question"
        far.sendall(b"answer")
        assert receive(client, 6) == b"answer"
        assert proxy.open == 1
        far.close()
        assert client.recv(1) == b""
    proxy.wait_open(0)


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("latency", [0, 0.03])
def test_a_reset_reaches_the_other_side_and_the_proxy_goes_on(
    proxy: TcpProxy, server: socket.socket, side: int, latency: float
) -> None:
    proxy.latency = latency
    with connected(proxy, server) as ends:
        ends[side].sendall(b"last words")
        ends[1 - side].sendall(b"unread")
        reset(ends[side])
        with pytest.raises(ConnectionResetError):
            receive(ends[1 - side], 100)
    proxy.wait_open(0)
    with connected(proxy, server) as (client, far):
        client.sendall(b"x")
        assert far.recv(1) == b"x"


def test_a_side_that_is_gone_is_noticed_by_writing_to_it(
    proxy: TcpProxy, server: socket.socket
) -> None:
    with connected(proxy, server) as (client, far):
        client.shutdown(socket.SHUT_WR)
        assert far.recv(1) == b""
        # Nothing is read from the client any more, so its reset goes unseen.
        reset(client)
        far.sendall(b"x")
        proxy.wait_open(0)
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            far.sendall(b"x")


def test_a_side_that_is_gone_is_noticed_by_closing_to_it(
    proxy: TcpProxy, server: socket.socket
) -> None:
    with connected(proxy, server) as (client, far):
        far.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
        reset(far)
        client.shutdown(socket.SHUT_WR)
        proxy.wait_open(0)


def test_clients_that_come_and_go_at_once_do_no_harm(
    proxy: TcpProxy, server: socket.socket
) -> None:
    for number in range(100):
        client = dial(proxy)
        (reset if number % 2 else socket.socket.close)(client)
        far, _ = server.accept()
        far.close()
    proxy.wait_open(0)
    assert proxy.seen == 100


def test_many_connections_at_once(proxy: TcpProxy, server: socket.socket) -> None:
    proxy.latency = 0.1
    start = monotonic()
    clients = [dial(proxy) for _ in range(200)]
    proxy.wait_open(200)
    far = [server.accept()[0] for _ in clients]
    for number, client in enumerate(clients):
        client.sendall(struct.pack("i", number))
    found = {struct.unpack("i", receive(one, 4))[0] for one in far}
    assert found == set(range(200))
    # All wait at the same time: one after the other they would take 20 s.
    assert monotonic() - start < 15
    for one in (*clients, *far):
        one.close()
    proxy.wait_open(0)


def test_what_is_on_its_way_is_bounded(proxy: TcpProxy, server: socket.socket) -> None:
    data = bytes(MEGABYTE)
    with connected(proxy, server) as (client, far):
        proxy.silence()
        client.settimeout(0.5)
        sent = 0
        # Beside the proxy's own memory, some megabytes fit into the system's.
        with suppress(TimeoutError):
            while sent < MOST_BYTES + 32 * MEGABYTE:
                sent += client.send(data)
        assert MOST_BYTES <= sent < MOST_BYTES + 32 * MEGABYTE
        proxy.speak()
        assert receive(far, sent) == bytes(sent)


def test_many_small_messages_are_bounded_too(
    proxy: TcpProxy, server: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "MOST_BYTES", 100 * links.OVERHEAD_BYTES)
    with connected(proxy, server) as (client, far):
        client.sendall(b"x")
        assert far.recv(1) == b"x"
        proxy.silence()
        for _ in range(300):
            client.sendall(b"x")
            wait_read(proxy)
        (link,) = proxy._links
        assert 50 < len(link._pipes[0]._line) <= 100
        proxy.speak()
        assert receive(far, 300) == b"x" * 300


def test_a_server_that_is_down_shows_as_a_reset(server: socket.socket) -> None:
    with TcpProxy(server.getsockname()[1]) as proxy:
        server.close()

        def talk() -> None:
            # The reset may come while the system still connects.
            with dial(proxy) as client:
                client.recv(1)

        with pytest.raises(ConnectionResetError):
            talk()
        proxy.wait_open(0)


def test_the_end_leaves_no_thread_and_no_socket(server: socket.socket) -> None:
    threads, files = set(threading.enumerate()), open_files()
    with TcpProxy(server.getsockname()[1]) as proxy:
        assert len(set(threading.enumerate()) - threads) == 1
        with connected(proxy, server) as (client, far), dial(proxy) as other:
            proxy.latency = 60
            client.sendall(b"never arrives")
            proxy.wait_open(2)
            proxy.close()
            for one in (client, far, other):
                with pytest.raises(ConnectionResetError):
                    one.recv(1)
    assert set(threading.enumerate()) == threads
    assert open_files() == files
    with pytest.raises(ClusterError, match="does not run"):
        proxy.cut()


def open_files() -> int:
    folder = Path("/dev/fd")
    return len([*folder.iterdir()])


@pytest.mark.parametrize("latency", [-0.001, float("nan"), float("inf")])
def test_a_latency_that_cannot_be_is_refused(proxy: TcpProxy, latency: float) -> None:
    with pytest.raises(InvalidInput, match="a latency is a number of seconds"):
        proxy.latency = latency
    assert proxy.latency == 0


def test_waiting_for_connections_ends_with_an_error(proxy: TcpProxy) -> None:
    with pytest.raises(ClusterError, match=r"has 0 open connections after 0\.02 s, not 1"):
        proxy.wait_open(1, seconds=0.02)


def test_a_fault_of_the_proxy_itself_is_told_at_its_end(
    server: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = set(threading.enumerate())
    proxy = TcpProxy(server.getsockname()[1])
    proxy.__enter__()
    with connected(proxy, server) as (client, _):
        monkeypatch.setattr(links.Pipe, "_put", lambda *_: 1 / 0)
        client.sendall(b"x")
        wait_read(proxy)
    with pytest.raises(ClusterError, match=r"failed: ZeroDivisionError"):
        proxy.close()
    proxy.close()
    assert set(threading.enumerate()) == threads


def test_no_small_message_waits_for_an_acknowledgement(
    proxy: TcpProxy, server: socket.socket
) -> None:
    with connected(proxy, server):
        (link,) = proxy._links
        for one in link._sockets:
            assert one.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_what_is_asked_of_a_proxy_may_fail(proxy: TcpProxy) -> None:
    with pytest.raises(ZeroDivisionError):
        proxy._do(lambda: 1 / 0)


def test_a_host_without_an_address_is_refused() -> None:
    proxy = TcpProxy(5432, host="no-such-host.invalid")
    with pytest.raises(ClusterError, match=r"no-such-host\.invalid has no address"):
        proxy.__enter__()
    proxy.close()
