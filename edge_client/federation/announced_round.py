"""The round that was announced last, and what it asks of this client."""

from dataclasses import dataclass

from edge_client.federation.promised_noise import keeps
from shared.architectures import architecture_of
from shared.errors import ProtocolError
from shared.features.start_file import LARGEST_START
from shared.protocol.messages import Announcement, File
from shared.storage.tensor_file import HEADER_LIMIT
from shared.task import Task, options_for


@dataclass(frozen=True, slots=True)
class AnnouncedRound:
    """An announcement, as one client reads it.

    Attributes
    ----------
    announcement
        As it came.
    client
        This client's name.
    """

    announcement: Announcement
    client: str

    @property
    def key(self) -> tuple[str, int]:
        """Run and number of the round."""
        return self.announcement.run, self.announcement.round

    @property
    def invites(self) -> bool:
        """Whether it is open for this client."""
        clients = self.announcement.clients
        return self.announcement.state == "open" and (clients is None or self.client in clients)

    @property
    def recognises(self) -> File:
        """The model to recognise with: the averaged one, where there is one."""
        return self.announcement.averaged or self.announcement.model

    def files(self, *, training: bool) -> list[File]:
        """List the files this client needs: to recognise and, if it takes part, to train."""
        announced = self.announcement
        files = [self.recognises, announced.statistics]
        if training:
            files = [announced.model, announced.control, *files]
        return list({file.digest: file for file in files if file}.values())

    def check(self, federation: str) -> None:
        """Check that it is of this federation, keeps to itself, and has files of its architecture.

        Raises
        ------
        ProtocolError
            If not: files larger than any of such weights could fill the disk.
        """
        announcement = self.announcement
        if announcement.federation != federation:
            raise ProtocolError("An announcement is of another federation.")
        self._check_budget()
        parameters = architecture_of(announcement.architecture, announcement.task).parameters
        largest = 8 + HEADER_LIMIT + 4 * parameters
        difference = announcement.difference.file if announcement.difference else None
        known = (announcement.model, difference, announcement.averaged, announcement.control)
        for file in known:
            if file is not None and file.size > largest:
                raise ProtocolError(
                    f"An announcement names a file of {file.size} bytes; "
                    f"a model of {announcement.architecture} has {largest} at most."
                )
        if (start := announcement.statistics) and start.size > LARGEST_START:
            raise ProtocolError(
                f"An announcement names a file of {start.size} bytes for statistics to begin with; "
                f"{LARGEST_START} are taken at most."
            )

    def _check_budget(self) -> None:
        """Check that what is asked for is what the privacy budget says."""
        announcement = self.announcement
        privacy, secure = announcement.privacy, announcement.secure
        if privacy is None:
            return
        by_devices = secure is not None and secure.noise > 0
        if by_devices != (privacy.noise_by == "devices"):
            whose = {"aggregator": "the aggregator's", "devices": "the devices'"}[privacy.noise_by]
            raise ProtocolError(
                "An announcement contradicts itself: the noise of its privacy budget is "
                f"{whose}, and it asks devices for {'some' if by_devices else 'none'}."
            )
        if announcement.state != "open":
            return
        if announcement.round > privacy.rounds:
            raise ProtocolError(
                f"An announcement contradicts itself: round {announcement.round} is open, and its "
                f"privacy budget is for {privacy.rounds}."
            )
        clip_norm = announcement.training.clip_norm
        if secure and secure.noise and secure.octaves and not keeps(privacy, secure, clip_norm):
            raise ProtocolError(
                "An announcement contradicts itself: the noise that it asks devices for is too "
                f"little for {privacy.promise}."
            )

    def of_another_task(self, task: Task) -> ProtocolError | None:
        """Make the error of a federation that a device with this task cannot take part in."""
        announcement = self.announcement
        difference = task.difference(announcement.task)
        if difference is None:
            return None
        options = options_for(announcement.task, task)
        return ProtocolError(
            f"The federation {announcement.federation} is of another task: {difference}.",
            f"Start this device with {options} to take part." if options else "",
        )
