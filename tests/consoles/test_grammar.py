"""
What lines ask for.
"""

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from jobcluster.consoles.grammar import parse
from jobcluster.consoles.requests import (
    ALONE,
    Ask,
    Leave,
    Listen,
    Output,
    Prompt,
    Submit,
    Tail,
)
from jobcluster.core.payloads import MAX_SLEEP
from jobcluster.core.values import SLEEP, OnNodeLoss, Spec
from jobcluster.core.views import Filter
from jobcluster.errors import JobclusterError, MalformedTicketError, UserError
from tests.consoles.rig import FakeCluster, ticket
from tests.consoles.test_help import VERBS


def sleep(milliseconds: bytes, on_node_loss: str = OnNodeLoss.AGAIN) -> Submit:
    """
    What a sleep of so many milliseconds asks for.
    """
    return Submit(Spec(SLEEP, milliseconds, on_node_loss=on_node_loss))


class ParseTests(SynchronousTestCase):
    """
    L{parse}.
    """

    def asks(self, line: str) -> list[str]:
        """
        What a question asks of the cluster.
        """
        request = parse(line)
        cluster = FakeCluster(Clock())
        if not isinstance(request, Ask):
            self.fail(f"{line} asks nothing")
        request.ask(cluster).addErrback(lambda failure: failure.trap(JobclusterError))
        return cluster.asked

    def assertRefused(self, line: str, *reasons: str) -> None:
        """
        Have a line refused, in one line, for these reasons.
        """
        error = self.assertRaises(UserError, parse, line)
        self.assertNotIn("\n", str(error))
        self.assertTrue(len(str(error)) < 250)
        for reason in reasons:
            self.assertIn(reason, str(error))

    def test_sleep(self) -> None:
        """
        A number is a sleep, with the word or without.
        """
        for line in (
            "100",
            "sleep 100",
            "SLEEP\t100",
            "  100 ",
            "sleep   0100",
            "0" * 9000 + "100",
        ):
            self.assertEqual(sleep(b"100"), parse(line), line)
        self.assertEqual(sleep(b"0"), parse("0"))
        self.assertEqual(sleep(b"0"), parse("0" * 5000))
        self.assertEqual(sleep(b"2678400000"), parse(str(MAX_SLEEP)))

    def test_sleep_once(self) -> None:
        """
        A sleep that is run at most once.
        """
        self.assertEqual(sleep(b"100", OnNodeLoss.FAIL), parse("sleep --once 100"))

    def test_sleep_options(self) -> None:
        """
        What may be said of any job is said ahead of the number.
        """
        self.assertEqual(
            Submit(
                Spec(
                    SLEEP,
                    b"100",
                    -5,
                    on_node_loss=OnNodeLoss.FAIL,
                    key="a b",
                    name="une nuit",
                    tags=("x", "y"),
                )
            ),
            parse(
                "sleep --tag x --key 'a b' --once --priority -5 --name \"une nuit\" --tag y -- 0100"
            ),
        )
        self.assertEqual(parse("100"), parse("sleep --priority 0 100"))

    def test_options_that_cannot_be(self) -> None:
        """
        Each option that cannot be is refused, in words that name it.
        """
        for options, *reasons in (
            ("--key ''", "--key wants something", "not empty"),
            ("--name ''", "--name wants something"),
            ("--tag ''", "--tag wants something"),
            ("--key a --key a", "--key is given twice"),
            ("--name a --name a", "--name is given twice"),
            ("--priority 1 --priority 1", "--priority is given twice"),
            ("--priority high", "'high' is none", "from -1000 to 1000"),
            ("--priority 1001", "from -1000 to 1000"),
            ("--priority " + "9" * 100_000, "from -1000 to 1000"),
            ("--priority \u0663", "from -1000 to 1000"),
            ("--tag a,b", "no blanks and commas"),
            ("--tag 'a b'", "no blanks and commas"),
            ("--tag a " * 33, "32 tags"),
            ("--key " + "k" * 256, "255 characters"),
            ("--name '\udcff'", "printable"),
            ("--key=a", "'--key=a' is no option of sleep", "a word of its own"),
        ):
            for verb in ("sleep", "run"):
                said = [reason.replace("sleep", verb) for reason in reasons]
                self.assertRefused(f"{verb} {options} 1", *said)

    def test_options_unfinished(self) -> None:
        """
        An option without its value is told what it wants.
        """
        self.assertRefused("sleep --key", "--key wants a key behind it", "sleep [--once]")
        self.assertRefused("run --priority", "--priority wants a number behind it", "run [--once]")
        self.assertRefused("sleep --tag a", "sleep [--once]")

    def test_numbers_that_are_none(self) -> None:
        """
        Signs, other notations and digits of other scripts are refused.
        """
        for number in (
            "-5",
            "+5",
            "1.5",
            ".5",
            "1_000",
            "1e3",
            "0x10",
            "\u0663",
            "\uff11\uff10\uff10",
            "\u00b2",
            "\u00bd",
            "5m",
        ):
            self.assertRefused(number, "0 to 9")
            self.assertRefused(f"sleep {number}", "0 to 9")

    def test_numbers_too_great(self) -> None:
        """
        There is a longest sleep, and however many digits are no trouble.
        """
        for number in (str(MAX_SLEEP + 1), "9" * 20, "9" * 200_000, "0" * 5000 + "9" * 5000):
            self.assertRefused(number, str(MAX_SLEEP))

    def test_two_numbers(self) -> None:
        """
        A line has one number.
        """
        self.assertRefused("100 200", "200")

    def test_result(self) -> None:
        """
        The short form of C{result} has a space or none, in any case.
        """
        asked = [f"view {ticket(0)}"]
        for line in (
            f"result {ticket(0)}",
            f"r {ticket(0)}",
            f"r{ticket(0)}",
            f"R{ticket(0).upper()}",
        ):
            self.assertEqual(asked, self.asks(line), line)

    def test_whole_words_first(self) -> None:
        """
        A verb is a verb, though it begins with an r; a ticket is a ticket, though it continues it.
        """
        self.assertEqual([f"view {ticket(0, 'esult')}"], self.asks(f"result {ticket(0, 'esult')}"))
        self.assertEqual([f"view {ticket(0, 'esult')}"], self.asks(f"r{ticket(0, 'esult')}"))

    def test_questions(self) -> None:
        """
        The other questions about a ticket, and about the cluster.
        """
        self.assertEqual([f"view {ticket(0)}"], self.asks(f"status {ticket(0)}"))
        self.assertEqual([f"wait {ticket(0)}"], self.asks(f"wait  {ticket(0)}"))
        self.assertEqual([f"cancel {ticket(0)}"], self.asks(f"cancel {ticket(0)} "))
        self.assertEqual(["cluster"], self.asks("nodes"))
        self.assertEqual(Output(ticket(0)), parse(f"Output {ticket(0).upper()}"))

    def test_tails(self) -> None:
        """
        Both streams from the beginning, or one from an offset on, of an attempt.
        """
        t = ticket(0)
        both = {"out": 0, "err": 0}
        self.assertEqual(Tail(t, both, 0, framed=False), parse(f"tail {t.upper()}"))
        self.assertEqual(Tail(t, both, 0, framed=True), parse(f"TAIL  --frames {t} "))
        self.assertEqual(Tail(t, {"err": 0}, 0, framed=False), parse(f"tail {t} err"))
        self.assertEqual(Tail(t, {"out": 7}, 2, framed=True), parse(f"tail --frames {t} out 7 2"))
        self.assertRefused(f"tail {t} in", "'in'", "out, err")
        for wrong in ("", "--frames", f"{t} out x", f"{t} out -1", f"{t} out 1 2 3", f"{t} out ٣"):
            self.assertRefused(f"tail {wrong}", "tail [--frames] TICKET")
        self.assertRefused(f"tail {t} out {'9' * 19}", "tail [--frames] TICKET")
        self.assertRefused("tail 12", str(MalformedTicketError()))

    def test_groups(self) -> None:
        """
        Only questions that change nothing may be under way with others of their kind.
        """
        group = {verb: parse(f"{verb} {ticket(0)}").group for verb in ("result", "wait", "cancel")}
        self.assertEqual(ALONE, group["cancel"])
        self.assertEqual(3, len(set(group.values())))

    def test_lists(self) -> None:
        """
        The lists, with a state and without.
        """
        self.assertEqual(Listen(Filter("open")), parse("list"))
        self.assertEqual(Listen(Filter("timed-out")), parse("list Timed-Out"))
        self.assertEqual(Listen(Filter()), parse("getall"))
        self.assertRefused("list finished", "'finished'", "succeeded", "waiting")
        self.assertEqual(Listen(Filter(tags=("a",))), parse("list ALL tag=a"))
        self.assertEqual(
            Listen(Filter("lost", "une nuit", ("a", "b=c"))),
            parse("list tag=a  name='une nuit' Lost TAG=b=c"),
        )
        self.assertEqual(Listen(Filter("open", "open")), parse("list name=open"))
        for line in ("list name=", "list tag=", "list name=a name=b", "list open lost"):
            self.assertRefused(line, "list [STATE] [name=NAME] [tag=TAG]...")
        self.assertRefused("list key=a", "'key=a' is no state")
        self.assertRefused("list name='a", "not closed")
        self.assertRefused("getall now", "getall")

    def test_session(self) -> None:
        """
        What is about the session itself.
        """
        self.assertEqual(Prompt(on=True), parse("prompt ON"))
        self.assertEqual(Prompt(on=False), parse("prompt off"))
        self.assertRefused("prompt", "prompt on|off")
        self.assertEqual(Leave("Good-bye."), parse("exit"))
        self.assertRefused("exit now", "exit")

    def test_malformed_tickets(self) -> None:
        """
        What is no ticket is said to be none, before anybody is asked.
        """
        for word in (
            "12",
            "alpha",
            "alpha.123",
            f"{ticket(0)}0",
            "ALPHA.0123456789abu",
            "'\u0663'",
        ):
            for verb in ("status", "result", "r", "wait", "output", "cancel"):
                self.assertRaises(MalformedTicketError, parse, f"{verb} {word}")
        for line in ("r12", "ralpha.12"):
            self.assertRaises(MalformedTicketError, parse, line)

    def test_tickets_missing(self) -> None:
        """
        A verb without its ticket, or with more, is told how it is used.
        """
        for verb in ("status", "result", "r", "wait", "output", "cancel"):
            for rest in ("", f" {ticket(0)} {ticket(1)}"):
                self.assertRefused(verb + rest, "TICKET")
        self.assertRefused("sleep", "sleep [--once]", "LABEL]... MS")
        self.assertRefused("sleep 1 2", "sleep [--once]", "LABEL]... MS")
        self.assertRefused("sleep --twice 2", "no option of sleep", "--key")

    def test_unknown(self) -> None:
        """
        What is no verb is said to be none, shortened and made printable.
        """
        self.assertRefused("frobnicate 12", "'frobnicate'", "help")
        self.assertRefused("rubbish", "'rubbish'", "help")
        self.assertRefused("x" * 100_000, "help")
        self.assertRefused("\u202ex", "\\u202e")
        self.assertRefused("help frobnicate", "'frobnicate'")

    def test_empty(self) -> None:
        """
        An empty line is told that it is one.
        """
        for line in ("", " ", "\t "):
            self.assertRefused(line, "empty", "help")

    def test_blanks(self) -> None:
        """
        Hundreds of thousands of blanks are no trouble, wherever they stand.
        """
        blanks = " \t" * 130_000
        self.assertEqual(sleep(b"1"), parse(f"{blanks}sleep{blanks}1{blanks}"))
        self.assertRefused(f"sleep 1{blanks}2", "sleep [--once]", "LABEL]... MS")
        self.assertRefused(f"{blanks}x{blanks}y{blanks}z{blanks}", "'x'")

    @given(st.text(alphabet=st.characters(exclude_categories=["Cc", "Cs"]), max_size=40))
    def test_anything(self, line: str) -> None:
        """
        Whatever is typed has a meaning or an error of one line, and what is not ASCII has none
        but as a command.
        """
        try:
            request = parse(line)
        except UserError as error:
            self.assertTrue(str(error).isprintable())
        else:
            self.assertTrue(line.isascii() or line.split(maxsplit=1)[0].lower() == "run", request)

    @given(st.sampled_from(VERBS), st.text(alphabet=st.characters(exclude_categories=["Cc", "Cs"])))
    def test_any_rest(self, verb: str, rest: str) -> None:
        """
        So has whatever stands behind a verb.
        """
        try:
            parse(f"{verb} {rest}")
        except UserError as error:
            self.assertTrue(str(error).isprintable())
