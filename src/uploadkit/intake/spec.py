"""What is asked of a request: the fields it may have, its limits, and what its handler is given. A frozen value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from ..errors import FieldError
from ..policy.fields import FormRules
from ..policy.filenames import random_key
from ..policy.limits import Limits
from ..policy.rules import Rules, rules_of
from ..uploads import Register, Submission
from .capacity import DEFAULT_CAPACITY, Capacity

T_co = TypeVar("T_co", covariant=True)


class TypedForm(Protocol):
    """What the plan asks a typed form while its text values arrive."""

    def errors(self, values: Sequence[tuple[str, str]], *, ended: bool) -> list[FieldError]:
        """What is wrong with these text values; before the form has `ended`, only what no other value can mend."""
        ...


@dataclass(frozen=True, slots=True)
class Received(Generic[T_co]):
    """A form that was received whole: all of it, and what its handler is given.

    `unchosen` names the file inputs in which nothing was chosen, which a `Submission` leaves out: forms of the
    frameworks show them as files without a name.
    """

    submission: Submission
    given: T_co
    unchosen: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec(Generic[T_co]):
    """Made by `Uploader.single`, `array`, `fields`, `none`, `any` and `form`; used with `receive`. Knows no framework.

    `give` makes what the handler is given, when all files are staged and none is published: where it raises, nothing
    is stored. `keeps_on_error` leaves a request's files where a handler raises;
    `new_key` makes ids and storage keys from an extension; `capacity` bounds what is received at once;
    `digests` makes the SHA-256 of every file; `register` remembers them, as the pipeline of their `Uploader` does.
    `gives` is the type that `give` returns, for those who compare it with an annotation; `typed` is the form of
    `Uploader.form`, whose fields `json_schema` describes; it is given what stands
    before the names of the schemas in its `$defs`.
    """

    form: FormRules
    limits: Limits
    give: Callable[[Submission], T_co]
    keeps_on_error: bool = False
    new_key: Callable[[str], str] = field(default=random_key)
    capacity: Capacity = DEFAULT_CAPACITY
    digests: bool = True
    gives: object = object
    typed: TypedForm | None = None
    json_schema: Callable[[str], dict[str, Any]] | None = None
    register: Register | None = None

    def rules(self) -> Rules:
        """What a page may know before it sends anything, ready for `json.dumps`: see `policy.rules`."""
        return rules_of(self.form, self.limits, None if self.json_schema is None else self.json_schema(""))

    def check_blocking(self) -> None:
        """Raises `TypeError` where a blocking driver could not ask one of the filters or key makers."""
        if self.form.asks_async:
            raise TypeError("an async filter or filename= needs an async application; elsewhere it is a plain function")


def whole(submission: Submission) -> Submission:
    """The `give` of a spec whose handler is given all of the form."""
    return submission


def check_spec(spec: object, *, taker: str = "receive", example: str = "upload.single('avatar')") -> None:
    """Raises `TypeError` for what newcomers hand to `receive`, or to another `taker`, in place of a spec."""
    if not isinstance(spec, Spec):
        raise TypeError(f"{taker} takes a spec, as in {taker}({example}), and not {spec!r}")


def check_unregistered(spec: Spec[Any], *, taker: str, why: str) -> None:
    """Raises `TypeError` where a `taker` cannot keep what a register is promised."""
    if spec.register is not None:
        raise TypeError(f"{taker} takes no spec of an Uploader with a pipeline: {why}; such a spec is for receive(...)")
