"""The settings of one Thing in memory and in their file: restored, saved, and kept the same."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from labthings_fastapi.exceptions import describe_exception

from .functional_property import FunctionalProperty

if TYPE_CHECKING:
    from labthings_fastapi.messages.message import Message
    from labthings_fastapi.thing_host.settings import SettingsFile

    from .setting import Setting


@dataclass(frozen=True, slots=True)
class _Found:
    """The present value of a setting, and the message about it if it was changed in place."""

    value: Any
    form: Any
    text: str
    message: Message | None


class KeptSettings:
    """Restores and saves the settings of one Thing; any thread may use it.

    Code of a Thing may change a list or a dictionary in place, which nobody is told. So each save
    includes the present values of all data settings, and of the functional settings whose values
    can change in place. Other functional settings are saved when they are set, because reading
    them could wait for the hardware.

    `SettingsFile.lock` guards the state here as well. User code never runs under it.
    """

    def __init__(
        self, file: SettingsFile, settings: Mapping[str, Setting[Any]], logger: logging.Logger
    ) -> None:
        """Keep these settings, by name, in `file`."""
        self.file = file
        self._settings = settings
        self._logger = logger
        self._known: dict[str, str] = {}  # name → form, as JSON, that was saved or restored last
        self._not_restored: set[str] = set()
        self._invalid: set[str] = set()  # of these the ones whose value in the file is invalid
        self._complaints: dict[str, str] = {}  # of each setting the last one, which is logged once

    def load(self, thing: Any) -> None:
        """Set the settings to the values in their file; a bad value costs only itself."""
        saved = self.file.load()
        self._not_restored.clear()
        self._invalid.clear()
        if not self.file.exists():
            self._name_other_files()
        for name, form in saved.items():
            setting = self._settings.get(name)
            if setting is None:
                self._logger.warning(
                    "There is an extra key %r in %s: no setting has this name. It is kept.",
                    name,
                    self.file.path,
                )
            else:
                self._restore(thing, setting, form, will_be_opened=_is_opened(thing))
        with self.file.lock:
            self._known = {name: _text(form) for name, form in saved.items()}
        for name, found in self._present(thing, getters=False):
            with self.file.lock:
                self._known[name] = found.text

    def _name_other_files(self) -> None:
        others = self.file.others_beside()
        if others:
            self._logger.warning(
                "The settings start from their defaults, because there is no file %s. Beside it "
                "is %s: if the class had another name before, stop the server and rename that "
                "file to %s.",
                *(self.file.path, " and ".join(each.name for each in others)),
                self.file.path.name,
            )

    def apply_again(self, thing: Any) -> None:
        """Call the setters with the values in the file; for a Thing that has just been opened.

        A setter that needs the hardware could not do its work when the settings were loaded.
        """
        if not self.file.loaded:
            return
        for name in self.file.names() & self._settings.keys():
            setting = self._settings[name]
            if isinstance(setting, FunctionalProperty):
                self._restore(thing, setting, self.file.value(name), will_be_opened=False)

    def _restore(
        self, thing: Any, setting: Setting[Any], form: Any, *, will_be_opened: bool
    ) -> None:
        level = logging.WARNING
        try:
            value = setting.from_saved(form)
            self._invalid.discard(setting.name)
            if will_be_opened and isinstance(setting, FunctionalProperty):
                level = logging.DEBUG  # it is tried again
            setting.restore(thing, value)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - setters are user code
            self._not_restored.add(setting.name)
            if isinstance(error, ValidationError):
                if setting.name in self._invalid:
                    return  # it was logged when the settings were loaded
                self._invalid.add(setting.name)
            self._logger.log(
                level,
                "Setting %r is not restored: the value %r in %s is invalid: %s",
                setting.name,
                form,
                self.file.path,
                _reason(error),
            )
        else:
            self._not_restored.discard(setting.name)

    def save(self, thing: Any, setting: Setting[Any], form: Any, store: Callable[[], None]) -> None:
        """Write a value to the file, then store it in memory.

        Raises:
            SettingsWriteError, FolderInUseError: as `SettingsFile.save`; nothing is stored.
        """
        saves = self.file.saves
        found = dict(self._present(thing, without=setting))
        with self.file.lock:
            self._write({setting.name: form}, found, saves)
            store()
            self._publish(thing, found)

    def save_reading(self, thing: Any, setting: Setting[Any], read: Callable[[], Any]) -> None:
        """Save what `read` returns, the form of a setting after it was set.

        Of two threads, the one that has read an older value cannot overwrite the newer one.

        Raises:
            SettingsWriteError, FolderInUseError: as `SettingsFile.save`.
        """
        while True:
            saves = self.file.saves
            form = read()
            found = dict(self._present(thing, without=setting))
            with self.file.lock:
                if not self.file.is_newer(setting.name, saves):
                    self._write({setting.name: form}, found, saves)
                    self._publish(thing, found)
                    return

    def save_all(self, thing: Any) -> None:
        """Save every setting, also those that are read from the hardware.

        Raises:
            SettingsWriteError: the file could not be written, and is as before.
        """
        if not self.file.loaded:
            self.file.load()  # so that unknown keys in the file are kept
        saves = self.file.saves
        read = {
            name: setting.checked_form(setting.get(thing))
            for name, setting in self._settings.items()
            if isinstance(setting, FunctionalProperty)
        }
        found = dict(self._present(thing, getters=False, all_of_them=True))
        with self.file.lock:
            self._write(read, found, saves)
            self._publish(thing, found)

    @cached_property
    def can_change_in_place(self) -> bool:
        """Whether there is a setting whose value may change without being set."""
        return any(not setting.schema.immutable for setting in self._settings.values())

    def notice_changes(self, thing: Any, getters: bool = False) -> None:
        """Save and publish what was changed in place since the last save; never raises.

        With `getters`, user code is called, which may take long.
        """
        if not self.file.loaded:
            return
        saves = self.file.saves
        found = dict(self._present(thing, getters=getters))
        if all(self._known.get(name) == each.text for name, each in found.items()):
            return
        try:
            with self.file.lock:
                self._write({}, found, saves)
                self._publish(thing, found)
        except Exception as error:  # noqa: BLE001 - whoever changed it has gone on
            self._complain("", f"A change in place could not be saved: {describe_exception(error)}")

    def _present(
        self,
        thing: Any,
        *,
        without: Setting[Any] | None = None,
        getters: bool = True,
        all_of_them: bool = False,
    ) -> Iterator[tuple[str, _Found]]:
        """Yield the settings that belong into the file, or whose values may have been changed."""
        for name, setting in self._settings.items():
            if setting is without or name in self._not_restored:
                continue
            is_functional = isinstance(setting, FunctionalProperty)
            if is_functional and not getters:
                continue
            if setting.schema.immutable and (
                is_functional or (name in self.file.names() and not all_of_them)
            ):
                continue
            try:
                value = setting.get(thing)
                form = setting.checked_form(value)
                text = _text(form)
                changed = name in self._known and self._known[name] != text
                is_told = changed and setting.is_observable
                message = setting.message(_name(thing), value) if is_told else None
            except (Exception, SystemExit) as error:  # noqa: BLE001 - getters are user code
                if not is_functional and name in self._known:
                    self._complain(name, f"A change in place is not saved: {_reason(error)}")
                continue
            self._complaints.pop(name, None)
            yield name, _Found(value, form, text, message)

    def _write(self, changed: Mapping[str, Any], found: dict[str, _Found], saves: int) -> None:
        """Write the file; forget what another thread has saved meanwhile. Hold the lock."""
        for name in [name for name in found if self.file.is_newer(name, saves)]:
            del found[name]
        self.file.save({**{name: each.form for name, each in found.items()}, **changed})
        if self.file.loaded:
            texts = {name: _text(form) for name, form in changed.items()}
            self._known.update({name: each.text for name, each in found.items()} | texts)
            self._not_restored.difference_update(changed)
            self._complaints.pop("", None)

    def _publish(self, thing: Any, found: Mapping[str, _Found]) -> None:
        for each in found.values():
            if each.message is not None:
                thing._thing_server_interface.publish(each.message)

    def _complain(self, name: str, text: str) -> None:
        if self._complaints.get(name) != text:
            self._complaints[name] = text
            self._logger.error("%s", text)


def _text(form: Any) -> str:
    return json.dumps(form)


def _name(thing: Any) -> str:
    name: str = thing._thing_server_interface.name
    return name


def _is_opened(thing: Any) -> bool:
    return any(hasattr(type(thing), name) for name in ("__enter__", "__aenter__"))


def _reason(error: BaseException) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(each["msg"] for each in error.errors(include_url=False))
    return describe_exception(error)
