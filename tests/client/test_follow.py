"""
Output that is followed by a client of the protocol.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred

from jobcluster.consoles.outputs import Follower
from jobcluster.core.views import Piece
from jobcluster.errors import OutputMissingError, UnknownTicketError, UserError
from tests.client.cases import ClientCase, command, sleep
from tests.services.following import SECONDS, SHORT, slow_cat


class FollowTests(ClientCase):
    """
    A client of the node a, whose commands put out something for some seconds.
    """

    def begin(self) -> str:
        """
        Have one run; its ticket.
        """
        for name, node in self.memory.nodes.items():
            node.program = slow_cat
            self.memory.stop(name)
            self.memory.restart(name)
        self.memory.until(self.memory.all_joined)
        [ticket] = self.get(self.submit([command(b"cat", stdin=SHORT)]))
        return ticket

    async def _whole(self, follower: Follower, lengths: list[int]) -> dict[str, bytes]:
        found = {"out": b"", "err": b""}
        while (piece := await follower.next_piece()) is not None:
            self.assertEqual((len(found[piece.stream]), 1), (piece.offset, piece.attempt))
            found[piece.stream] += piece.data
            lengths.append(len(piece.data))
        return found

    def test_followed(self) -> None:
        """
        A follower gets both streams, piece by piece, also where the client's connection is cut.
        """
        for is_cut in (False, True):
            ticket = self.begin()
            lengths: list[int] = []
            whole = Deferred.fromCoroutine(self._whole(Follower(self.node, ticket), lengths))
            self.memory.advance(SECONDS / 2)
            self.assertTrue(len(lengths) > 5, lengths)
            if is_cut:
                self.remote.cut()
            self.assertEqual({"out": SHORT, "err": b"slowly\n"}, self.get(whole))

    def test_pieces(self) -> None:
        """
        It is said of which attempt a piece is, and whether it is the last; nothing may come.
        """
        [ticket] = self.get(self.submit([sleep(1000)]))
        self.assertEqual(Piece(b"", 1), self.get(self.node.live(ticket, "out", 0, 9, 0.5)))
        last = self.get(self.node.live(ticket, "out", 0, 9, 5))
        self.assertEqual(Piece(b"", 1, is_over=True), last)

    def test_refused(self) -> None:
        """
        What makes no sense is refused, and the connection goes on.
        """
        [ticket] = self.get(self.submit([sleep(1)]))
        for stream, offset, limit, error in (
            ("out", -1, 1, UserError),
            ("out", 0, 0, UserError),
            ("in", 0, 1, OutputMissingError),
        ):
            with self.assertRaises(error):
                self.get(self.node.live(ticket, stream, offset, limit, 1))
        with self.assertRaises(UnknownTicketError):
            self.get(self.node.live("a.0000000000000", "out", 0, 1, 1))
