"""Every failure a user can meet: its code, its cause and the next step."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from swarm_lab.callback import errors as callback_errors

if TYPE_CHECKING:
    from swarm_lab.callback.messages import Failed


class SwarmLabError(Exception):
    """A failure with a code (`SWL-...`), one cause and one next step.

    Subclasses set `code`, `title` (what the docs' table says) and `next_step`; `message` is the cause as it happened,
    with the names and values of this case. `exit_code` is 2 for a wrong call and 1 for the rest.
    """

    code: ClassVar[str] = "SWL-000"
    title: ClassVar[str] = "something failed that has no code of its own"
    next_step: str = "run `swarm-lab doctor` and report what it says"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, next_step: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if next_step is not None:
            self.next_step = next_step

    def to_dict(self) -> dict[str, str]:
        """The object that the front door prints: `{"code", "message", "next"}`."""
        return {"code": self.code, "message": self.message, "next": self.next_step}

    def __str__(self) -> str:
        return f"{self.code}: {self.message}\nNext: {self.next_step}"


class UsageError(SwarmLabError):
    """A call that cannot be meant: unknown verb or option, a value that does not fit."""

    code = "SWL-101"
    title = "the call is wrong"
    next_step = "see `swarm-lab --help`"
    exit_code = 2


# --- front door -------------------------------------------------------------------------------------------


class BadName(UsageError):
    """A name that a swarm or a node cannot have."""

    code = "SWL-102"
    title = "the name cannot be used"
    next_step = "use lower-case letters, digits and `-`, starting with a letter, 31 characters at most"


class NoSuchSwarm(SwarmLabError):
    """There is no swarm of this name, or none at all."""

    code = "SWL-103"
    title = "there is no such swarm"
    next_step = "`swarm-lab list` shows the swarms; `swarm-lab up --name NAME` makes one"


class WhichSwarm(UsageError):
    """NAME was left out while several swarms exist."""

    code = "SWL-104"
    title = "several swarms exist and none is named"
    next_step = "name the swarm, for example with `--name NAME`"


class SwarmRuns(SwarmLabError):
    """A second `up` of a running swarm."""

    code = "SWL-105"
    title = "a swarm of this name already runs"
    next_step = "use it (`swarm-lab status`), take it down (`swarm-lab down`) or choose another --name"


class SwarmDown(SwarmLabError):
    """A verb that needs a running swarm met one that does not run."""

    code = "SWL-106"
    title = "the swarm does not run"
    next_step = "`swarm-lab up` with its name starts it again with the same keys, addresses and ledger"


class PortTaken(SwarmLabError):
    """An address that the swarm must keep is in use by another process."""

    code = "SWL-107"
    title = "a port is taken"
    next_step = "end the process that holds the port, then run `up` again"


class UnsafeDirectory(SwarmLabError):
    """The directory for the sockets belongs to somebody else."""

    code = "SWL-108"
    title = "the directory for the sockets is not yours"
    next_step = "remove it, or set TMPDIR to a directory of your own"


class NotReady(SwarmLabError):
    """Nodes did not become ready within the limit."""

    code = "SWL-109"
    title = "nodes did not become ready in time"
    next_step = "read the log of the named node; a longer --wait helps on a slow machine"


class SupervisorFailed(SwarmLabError):
    """The process supervisor does not start or does not answer."""

    code = "SWL-110"
    title = "the process supervisor does not start or answer"
    next_step = "read supervisord.log in the swarm's directory, then `swarm-lab down` and `swarm-lab up`"


class NoFramework(SwarmLabError):
    """None of PyTorch, Keras and scikit-learn is installed."""

    code = "SWL-111"
    title = "no ML framework is installed"
    next_step = "install one: `pip install 'swarm-lab[torch]'`, or `[keras]`, or `[sklearn]`"


class NoSuchNode(UsageError):
    """A node name that the swarm does not have."""

    code = "SWL-112"
    title = "the swarm has no such node"
    next_step = "`swarm-lab status` shows the nodes"


class NoSuchTraining(UsageError):
    """A training id that the swarm does not have."""

    code = "SWL-113"
    title = "the swarm has no such training"
    next_step = "`swarm-lab status` shows the trainings"


class BadProgram(UsageError):
    """A program that cannot be sent: missing, a syntax error, too large, a missing module."""

    code = "SWL-114"
    title = "the program cannot be sent"
    next_step = "correct the program and run `train` again"


class BadData(UsageError):
    """Data folders do not fit the seats."""

    code = "SWL-115"
    title = "the data folders do not fit the seats"
    next_step = "give DIR/<node name>/ for each seat, or as many folders in DIR as there are seats"


class BadRequirements(SwarmLabError):
    """The seats' environment lacks what the program requires."""

    code = "SWL-116"
    title = "the environment of the seats lacks a requirement"
    next_step = "install the named packages into the environment of `swarm-lab`, then restart the seats"


class SeatsBusy(SwarmLabError):
    """`--no-queue` while seats are busy."""

    code = "SWL-117"
    title = "seats are busy"
    next_step = "wait for the running training, stop it, or leave --no-queue out"


class TrainingFailed(SwarmLabError):
    """A training in which not every node finished with the same model."""

    code = "SWL-118"
    title = "the training failed"
    next_step = "see the named nodes' messages above and `swarm-lab logs NODE`"


class NotStopped(SwarmLabError):
    """Something of the swarm still runs, or a training did not end within the limit."""

    code = "SWL-119"
    title = "something did not end in time"
    next_step = "run the verb again; `swarm-lab doctor` names what still runs"


class BadSpec(UsageError):
    """A YAML file that does not describe a swarm."""

    code = "SWL-120"
    title = "the file does not describe a swarm"
    next_step = "correct the named field"


class OtherVersion(SwarmLabError):
    """A file written by another version of the package."""

    code = "SWL-121"
    title = "a file has a version that this package does not read"
    next_step = "use the package version that made the swarm, or make the swarm again"


class Refused(SwarmLabError):
    """A node refused what the operator asked of it, or could not be reached."""

    code = "SWL-122"
    title = "a node refused a request or cannot be reached"
    next_step = "`swarm-lab status` and `swarm-lab logs NODE` say why"


class NoRoom(SwarmLabError):
    """The disk is full."""

    code = "SWL-123"
    title = "the disk is full"
    next_step = "free some space in the named directory; what was committed is kept"


class DoesNotHold(SwarmLabError):
    """`verify` found a link of the chain of evidence that is broken."""

    code = "SWL-124"
    title = "the chain of evidence does not hold"
    next_step = "do not use the model; compare the named node's files with those of the others"


class CellNames(BadProgram):
    """A `%%swarm train` cell uses names that it does not define: it runs alone, on other machines."""

    code = "SWL-126"
    title = "the cell uses names that it does not define"
    next_step = "define them in the cell, put them into a module beside the notebook, or pass values with -e KEY=VALUE"


class Shortfall(SwarmLabError):
    """An experiment ended, and its swarm is clearly worse than the best single node."""

    code = "SWL-125"
    title = "the swarm is worse than a node alone"
    next_step = "see the curves of the training: more rounds, another seed or another merge method may help"


class NothingToResume(SwarmLabError):
    """The training has finished or was stopped: its closing round is on the ledger."""

    code = "SWL-127"
    title = "the training is over"
    next_step = "use its model (`swarm-lab verify` checks it), or train anew without --resume"


class StillTraining(SwarmLabError):
    """A training is to be resumed that runs, and no node of it has failed."""

    code = "SWL-128"
    title = "the training runs"
    next_step = "follow it with `swarm-lab attach`"


class OtherThanBefore(UsageError):
    """A training is to be resumed with another program, other terms or other data than it was started with."""

    code = "SWL-129"
    title = "not the training that is resumed"
    next_step = "leave the option out: the nodes have what they need; to change it, train anew without --resume"


class NothingToJoin(SwarmLabError):
    """A seat is to join a training that is over."""

    code = "SWL-130"
    title = "the training takes no further node"
    next_step = "start another one on all seats: `swarm-lab train`"


class SwarmUnreadable(SwarmLabError):
    """A swarm's folder lacks a file, or has one that cannot be read; other swarms are not concerned."""

    code = "SWL-131"
    title = "a swarm's folder cannot be read"
    next_step = "put the named file back from a copy, or remove the folder: its keys and models go with it"


class NoSuchOperation(UsageError):
    """An operation of the panel that this server does not know: it was started anew, or it is long over."""

    code = "SWL-132"
    title = "the server knows no such operation"
    next_step = "look at the swarm's state: what was begun goes on, or has ended"


class GoneMeanwhile(SwarmLabError):
    """What a call was meant for was removed by somebody else a moment before."""

    code = "SWL-133"
    title = "somebody else was faster"
    next_step = "nothing: what was asked for is done"


class ServerBusy(SwarmLabError):
    """The server works on as many operations as it may at a time."""

    code = "SWL-134"
    title = "too many operations at a time"
    next_step = "wait until one of them has ended, then call again"


class BadScenario(UsageError):
    """A scenario file does not describe what to do to a swarm's nodes, or not to this swarm's."""

    code = "SWL-135"
    title = "the scenario cannot be replayed"
    next_step = "correct the named step; docs/scenarios.md has the format"


class NotHurt(SwarmLabError):
    """A node cannot be paused, slowed or killed: it does not run, or something is being done to it."""

    code = "SWL-136"
    title = "a node cannot be paused, slowed or killed now"
    next_step = "see `swarm-lab status`; `resume` ends what is being done to a node"


class NotAllowed(SwarmLabError):
    """The server's authorizer does not let this user do this to swarms."""

    code = "SWL-137"
    title = "the server does not let you do this"
    next_step = "ask who runs the server: its authorizer decides on the resource `swarm`"


# --- identity ---------------------------------------------------------------------------------------------


class IssuerUnreachable(SwarmLabError):
    """The Workload API socket is missing, or nobody answers on it."""

    code = "SWL-201"
    title = "the identity issuer cannot be reached"
    next_step = "see `swarm-lab status` for the node `identity`, and `swarm-lab logs identity`"


class NotAttested(SwarmLabError):
    """The issuer does not know the process as a node of the swarm."""

    code = "SWL-202"
    title = "the issuer gave this process no identity"
    next_step = "let `swarm-lab up` start nodes; the reason of the refusal is in `swarm-lab logs identity`"


class WrongIdentity(SwarmLabError):
    """The issuer answered with another SPIFFE ID than the one this node must have."""

    code = "SWL-203"
    title = "the issuer gave another identity than the expected one"
    next_step = "check the node's entry at the issuer (its config.json, or the SPIRE registration entry)"


class IdentityExpired(SwarmLabError):
    """An SVID, ours or a peer's, is outside its life."""

    code = "SWL-204"
    title = "an identity has expired"
    next_step = "check that `identity` is running and that the clocks of the machines agree"


class UnknownTrustDomain(SwarmLabError):
    """A peer's trust domain has no bundle here: it is not federated with ours."""

    code = "SWL-205"
    title = "a peer belongs to a trust domain that is not known here"
    next_step = "federate the two trust domains, or check the address of the peer"


class PeerNotVerified(SwarmLabError):
    """A peer's certificate is malformed or not of the authority of the trust domain that it claims."""

    code = "SWL-206"
    title = "a peer's identity could not be verified"
    next_step = "look in the log for the peer; if it should be trusted, check its issuer's authority"


class RoleRefused(SwarmLabError):
    """A peer is who it says, and may not call this."""

    code = "SWL-207"
    title = "a peer's role does not allow the call"
    next_step = "call from a node whose role may; the log names the method, the role and the roles that may"


class AuthorityDamaged(SwarmLabError):
    """The dev issuer's key or certificate on disk cannot be used."""

    code = "SWL-208"
    title = "the issuer's authority on disk is damaged or of another trust domain"
    next_step = "restore nodes/identity/, or remove `ca.*` there and restart all nodes: a new authority is made"


# --- license ----------------------------------------------------------------------------------------------


class NoLicense(SwarmLabError):
    """No license is installed on this machine, or its file cannot be read."""

    code = "SWL-401"
    title = "no license is installed"
    next_step = "`swarm-lab license install FILE`; `swarm-lab up` makes a community license where there is none"


class LicenseExpired(SwarmLabError):
    """The license's last day is over: no new training begins, running ones end at their next closing round."""

    code = "SWL-402"
    title = "the license has expired"
    next_step = "install a new one with `swarm-lab license install FILE`: nodes take it up without a restart"


class LicenseTampered(SwarmLabError):
    """The license file is not what its issuer signed."""

    code = "SWL-403"
    title = "the license file was changed or is damaged"
    next_step = "install the file as the issuer gave it: `swarm-lab license install FILE`"


class UnknownIssuer(SwarmLabError):
    """The license is signed by a key that this machine does not trust."""

    code = "SWL-404"
    title = "the license is signed by a key that is not trusted here"
    next_step = "get the issuer's public key by a way you trust: `swarm-lab license install FILE --issuer KEY.pem`"


class ClockMovedBack(SwarmLabError):
    """The clock shows a time more than five minutes before one that it has shown already."""

    code = "SWL-405"
    title = "the clock was moved back"
    next_step = "set the clock right; if it ran ahead before, install a license issued since it is right again"


class NoSeat(SwarmLabError):
    """All seats of a kind of node are in use."""

    code = "SWL-406"
    title = "the license has no free seat"
    next_step = "take down a swarm that is not needed, ask for fewer nodes, or install a license with more seats"


class LicenseServerLost(SwarmLabError):
    """The license node did not answer for the whole of the grace time."""

    code = "SWL-407"
    title = "the license node cannot be reached and the grace time is over"
    next_step = "see `swarm-lab status` for the node `license`, then `swarm-lab restart license`"


class LeaseUnknown(SwarmLabError):
    """A node renewed a lease that the license node does not have any more; nodes then ask for a new one."""

    code = "SWL-408"
    title = "the license node does not know the lease"
    next_step = "nothing: the node asks for a new lease by itself"


class BadLicenseOptions(UsageError):
    """`license issue` was given values that make no license."""

    code = "SWL-409"
    title = "the options make no license"
    next_step = "see `swarm-lab license issue --help`"


# --- ledger and network -----------------------------------------------------------------------------------


class LedgerUnreachable(SwarmLabError):
    """No SN, or not the chain behind it, answers; or the SN is replaying its journal."""

    code = "SWL-301"
    title = "the ledger cannot be reached"
    next_step = "see the nodes of kind sn, sentinel and chain in `swarm-lab status`, and restart the one that is down"


class LedgerRefused(SwarmLabError):
    """A contract refused a call. `error` is the name of its custom error, `arguments` what it carries by name."""

    code = "SWL-302"
    title = "a contract refused a call"
    next_step = "the message names what does not fit; `swarm-lab logs NODE` shows what the node wanted"

    def __init__(self, message: str, error: str = "", arguments: dict[str, object] | None = None) -> None:
        super().__init__(message)
        self.error = error
        self.arguments = arguments or {}


class LedgerForked(SwarmLabError):
    """SWL-FORK: the ledger shows another result for a round that was final."""

    code = "SWL-303"
    title = "the ledger shows another history than before"
    next_step = "stop the training; `swarm-lab verify` on each node shows who holds which history"


class TransactionNotMined(SwarmLabError):
    """A signed transaction did not get into a block within its limit."""

    code = "SWL-304"
    title = "a transaction was not confirmed in time"
    next_step = "see the node of kind chain in `swarm-lab status`; what was signed is sent again"


class PlatformMixed(LedgerRefused):
    """Nodes with different ML platforms in one network."""

    code = "SWL-305"
    title = "one network has one ML platform"
    next_step = "use the platform that the network has, or make another swarm with `up --framework`"


class TermsDiffer(LedgerRefused):
    """Nodes of one training ask for different terms."""

    code = "SWL-306"
    title = "nodes of one training do not agree on its terms"
    next_step = "give the same value in the program of every node"


class OtherProtocol(SwarmLabError):
    """The other side speaks another version of the protocol, or its package does not fit."""

    code = "SWL-307"
    title = "two nodes have versions that do not fit"
    next_step = "install the same version of swarm-lab on both"


class LedgerKeyUnusable(SwarmLabError):
    """A node's ledger key is missing, damaged or readable by others."""

    code = "SWL-308"
    title = "a node's ledger key cannot be used"
    next_step = "restore the file from a copy and set its mode to 0600; a node with a new key is enrolled anew"


class EnrolmentRefused(SwarmLabError):
    """An SN refused to register a node."""

    code = "SWL-309"
    title = "a node was refused at its registration"
    next_step = "see the named reason, and `swarm-lab logs` of the SN"


class JournalDamaged(SwarmLabError):
    """The SN's journal has a line, not the last one, that cannot be read."""

    code = "SWL-310"
    title = "an SN's journal is damaged"
    next_step = "copy journal.jsonl from another SN of the swarm, then restart this one"


class OtherContracts(SwarmLabError):
    """The contracts on the chain are not those of this package."""

    code = "SWL-311"
    title = "the chain holds other contracts than this package"
    next_step = "use the package version that made the swarm, or make the swarm again"


# --- rounds and training ----------------------------------------------------------------------------------


class ModelFileError(SwarmLabError):
    """A model file cannot be read."""

    code = "SWL-501"
    title = "a model file is missing or damaged"
    next_step = "check the path, or take the model of another node: every node of a finished training holds the same"


class StagingError(SwarmLabError):
    """What the operator sent for a training cannot be used."""

    code = "SWL-502"
    title = "a training could not be staged at a node"
    next_step = "run the same version of swarm-lab on both sides and start the training again"
    exit_code = 2


class TrainingLost(SwarmLabError):
    """A node gave a training up: what it waited for did not come within its limit, or it broke."""

    code = "SWL-503"
    title = "a node gave the training up"
    next_step = "see `swarm-lab logs NODE`; the last committed model is in the node's checkpoints"


class NotOffered(SwarmLabError):
    """A program asks for something that this version does not do."""

    code = "SWL-504"
    title = "a program asks for what this version does not offer"
    next_step = "leave the argument out, or give one of the offered values"


class ProgramHung(SwarmLabError):
    """A program stood still when the swarm was over."""

    code = "SWL-505"
    title = "a program stood still and the swarm finished without it"
    next_step = "see `swarm-lab logs NODE` for where it stands; the final model is on the node's disk"


class NotFinite(SwarmLabError):
    """A program contributes NaN or infinity; no peer would merge it."""

    code = "SWL-506"
    title = "a model holds NaN or infinity"
    next_step = "look at this node's data and at the learning rate; the others go on without it"


class TooFewPeers(TrainingLost):
    """Fewer nodes than `min_peers` are there, and no more can or did come."""

    code = "SWL-507"
    title = "too few peers for a round"
    next_step = "see the named nodes' failures; train again, or with a smaller --min-peers"


class LedgerSilent(TrainingLost):
    """The ledger did not confirm anything within the training's limit."""

    code = "SWL-508"
    title = "the ledger did not answer for too long"
    next_step = "`swarm-lab doctor` looks at chain and SNs; the last committed model is in the node's checkpoints"


class ModelOutOfReach(TrainingLost):
    """A committed model is held by peers that could not be reached within the training's limit."""

    code = "SWL-509"
    title = "nobody who holds the model of a round can be reached"
    next_step = "bring the named nodes back with `swarm-lab restart NODE`"


class RemovedFromTraining(TrainingLost):
    """The contract took the node out of the training."""

    code = "SWL-510"
    title = "a node was removed from a training"
    next_step = "the message has the reason that stands on the ledger"


# --- programs and seats -----------------------------------------------------------------------------------


class ProgramFailed(SwarmLabError):
    """The user's program raised, or left with a status that is not 0.

    `type`, `traceback` (text, of the program's own frames) and `line` (of the program's file, 0 = unknown) are those
    of the exception where there was one.
    """

    code = "SWL-651"
    title = "the program failed"
    next_step = "correct the program at the line shown and train again"
    type: str = ""
    traceback: str = ""
    line: int = 0

    @classmethod
    def of(cls, program: str, failed: Failed) -> ProgramFailed:
        """From the report of the program."""
        kind = PROGRAM_ERRORS.get(failed.code)
        where = f"{program}, line {failed.line}" if failed.line else program
        cause = failed.message if kind is None else failed.message.partition("\nNext: ")[0]
        error = cls(f"{where}: {failed.type}: {cause}", next_step=failed.next or None)
        error.type, error.traceback, error.line = failed.type, failed.traceback, failed.line
        return error


class ProgramKilled(SwarmLabError):
    """A signal ended the program: a crash of native code, the system's memory limit, or somebody's kill."""

    code = "SWL-652"
    title = "a signal ended the program"
    next_step = "SIGKILL: see whether memory ran out; SIGSEGV: run the program alone with SWARM_LOOPBACK=true"


class ProgramNeverSynced(SwarmLabError):
    """The program ended well and never began to train with the swarm."""

    code = "SWL-653"
    title = "the program ended without training in the swarm"
    next_step = "make a SwarmCallback and call on_train_begin(), or put it in fit(callbacks=[...])"


class ProgramEndedEarly(SwarmLabError):
    """The program began to train and ended without its last call."""

    code = "SWL-654"
    title = "the program ended without on_train_end()"
    next_step = "call on_train_end() after the loop; until it returns the swarm's last round is not over"


class ProgramMisbehaved(SwarmLabError):
    """The program broke a rule of the link to its node and was ended."""

    code = "SWL-655"
    title = "the program broke the rules of its link"
    next_step = "leave the link (SWARM_LINK) to SwarmCallback; use the node's version of swarm-lab in the program"


class ModelTooLarge(SwarmLabError):
    """Two copies of the model do not fit into the machine's shared memory."""

    code = "SWL-656"
    title = "the model does not fit into shared memory"
    next_step = "free memory, run fewer seats on this machine, or train a smaller model"


class SeatsUnavailable(SwarmLabError):
    """The warm parent of the seats does not answer."""

    code = "SWL-657"
    title = "the warm seats do not answer"
    next_step = "see `swarm-lab logs seats`; `swarm-lab restart seats`, or `up --cold` for seats that are not warm"


class ProgramNotStarted(SwarmLabError):
    """The program's process could not be made."""

    code = "SWL-658"
    title = "the program could not be started"
    next_step = "see the message: its file, its folder, the limits of processes and open files"


# What a program raises itself: its classes live with the callback, which imports nothing of this package.
PROGRAM_ERRORS: dict[str, type[SwarmLabError]] = {
    cls.code: type(
        cls.__name__,
        (SwarmLabError,),
        {"__doc__": cls.__doc__, "code": cls.code, "title": cls.title, "next_step": cls.next_step},
    )
    for cls in callback_errors.ALL
}


# --- environment ------------------------------------------------------------------------------------------


class ToolNotFetched(SwarmLabError):
    """A third-party program (anvil) is not in the user's cache and could not be fetched."""

    code = "SWL-701"
    title = "a third-party program could not be fetched"
    next_step = "see whether npm reaches its registry, or name a copy with SWARM_LAB_ANVIL=/path/to/anvil"


class ToolDoesNotRun(SwarmLabError):
    """A third-party program is there and does not start on this machine."""

    code = "SWL-702"
    title = "a third-party program does not start on this machine"
    next_step = "name a copy made for this machine with SWARM_LAB_ANVIL=/path/to/anvil"
