"""`Uploader`: what users configure once, and ask for specs as they ask Multer for middleware."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal, TypeVar, Unpack, overload
from weakref import WeakValueDictionary

from .intake.capacity import DEFAULT_CAPACITY, Capacity
from .intake.spec import Spec, whole
from .policy.fields import FieldRules, File, FileRule, FileRules, FormRules, Text, check_storage, reads_staged
from .policy.limits import Limits
from .storage.contract import Storage
from .uploads import Register, Submission, UploadedFile

T = TypeVar("T")

_DEFAULT_LIMITS = Limits()


class Uploader:
    """Makes the specs of forms that share a storage, limits and rules.

    `rules` are the defaults of every file field (see `FileRules`). Where a handler raises, the files of its request
    are removed; `on_error="keep"` leaves them. `digest=False` saves the SHA-256 of every file, which costs as much as
    storing it. `capacity` bounds how many uploads are received at once. `staging` is where files lie while checks read
    them whose storage cannot show what is staged, as S3 cannot: they go on from there before any file of their form is
    published. `pipeline` remembers every file from before its first byte, and says what is done with it when its
    handler has returned. A spec is a frozen value; it may be made once and used by any number of routes, frameworks and
    threads. Mistakes in rules are `TypeError` or `ValueError` when the spec is made.
    """

    def __init__(
        self,
        storage: Storage,
        *,
        limits: Limits = _DEFAULT_LIMITS,
        on_error: Literal["discard", "keep"] = "discard",
        digest: bool = True,
        capacity: Capacity = DEFAULT_CAPACITY,
        staging: Storage | None = None,
        pipeline: Register | None = None,
        **rules: Unpack[FileRules],
    ) -> None:
        if not isinstance(limits, Limits):
            raise TypeError(f"limits is Limits(...), not {limits!r}")
        _check_rules("Uploader", rules, FileRules)
        if on_error not in ("discard", "keep"):
            raise ValueError(f"on_error is 'discard' or 'keep', not {on_error!r}")
        if not isinstance(capacity, Capacity):
            raise TypeError(f"capacity is Capacity(...), not {capacity!r}")
        if staging is not None:
            _check_staging(staging)
        if pipeline is not None:
            _check_register(pipeline)
            for each in (storage, staging):  # a worker may have no use for any spec
                if each is not None:
                    pipeline.knows(each)
        self.capacity = capacity
        self._digests = digest
        self._storage = storage
        self._staging = staging
        self._register = pipeline
        self._limits = limits
        self._keeps_on_error = on_error == "keep"
        defaults = File("defaults", **rules)
        defaults.rule(storage, staging)  # a mistake in the defaults is raised here
        self._rules: dict[str, object] = {name: getattr(defaults, name) for name in rules}
        # By identity: rules are compared by value, and hold what has no hash. For `uploadkit.testing.swap_storage`.
        self._made: WeakValueDictionary[int, FileRule] = WeakValueDictionary()

    @overload
    def single(
        self, name: str, *, required: Literal[True] = True, **rules: Unpack[FieldRules]
    ) -> Spec[UploadedFile]: ...
    @overload
    def single(self, name: str, *, required: bool, **rules: Unpack[FieldRules]) -> Spec[UploadedFile | None]: ...
    def single(
        self, name: str, *, required: bool = True, **rules: Unpack[FieldRules]
    ) -> Spec[UploadedFile] | Spec[UploadedFile | None]:
        """One file in field `name`. The handler is given it, or None where it is not `required` and was not sent."""
        _check_rules("single", rules, FieldRules)
        form = self._form(File(name, required=required, **rules))
        if required:
            return self._spec(form, _first, UploadedFile)
        return self._spec(form, _first_or_none, UploadedFile | None)

    def array(
        self,
        name: str,
        *,
        max_count: int | None = None,
        min_count: int = 0,
        required: bool = False,
        **rules: Unpack[FieldRules],
    ) -> Spec[list[UploadedFile]]:
        """Any number of files in field `name`, at most `max_count`. The handler is given the list of them."""
        _check_rules("array", rules, FieldRules)
        file = File(name, max_count=max_count, min_count=min_count, required=required, **rules)
        return self._spec(self._form(file), _files, list[UploadedFile])

    def fields(self, *fields: File | Text) -> Spec[Submission]:
        """The file fields that are declared, and all text fields. The handler is given the `Submission`."""
        return self._spec(self._form(*fields), whole, Submission)

    def none(self) -> Spec[Submission]:
        """Text fields only: a file is refused."""
        return self._spec(self._form(), whole, Submission)

    def any(self, *, min_count: int = 0, required: bool = False, **rules: Unpack[FieldRules]) -> Spec[Submission]:
        """Every file, in whatever field it comes, under the same rules; `min_count` is of all fields together."""
        _check_rules("any", rules, FieldRules)
        file = File("any", max_count=None, min_count=min_count, required=required, **rules)
        return self._spec(FormRules(any_file=self._rule(file)), whole, Submission)

    def form(self, model: type[T], *, nested: bool = False) -> Spec[T]:
        """A form whose fields a pydantic model or a dataclass says. The handler is given an instance of it.

        A field of files is `UploadedFile`, `UploadedFile | None` or `list[UploadedFile]`, its rules stand in
        `Annotated[..., File(...)]`; every other field is a text field that pydantic validates. Text that arrives before
        a file is validated before that file is stored; the validators of the model as a whole run at the end, before
        any file is published. All errors that a form has are one `InvalidForm`.

        A model or dict inside the model is sent as JSON text, a list by repeating its name; with `nested` names such as
        `pet[name]` and `kids[]` are read as parts too. Needs the extra `forms`. Raises `TypeError` for a model that
        cannot be sent as a form.
        """
        from .forms import ModelForm  # pydantic is optional

        form = ModelForm(model, nested=nested)
        spec = self._spec(self._form(*form.fields), form.give, model)
        return replace(spec, typed=form, json_schema=form.json_schema)

    def _form(self, *fields: File | Text) -> FormRules:
        files = [field for field in fields if isinstance(field, File)]
        texts = [field for field in fields if isinstance(field, Text)]
        if len(files) + len(texts) < len(fields):
            raise TypeError("fields() takes File(...) and Text(...)")
        names = [_named(field) for field in fields]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"field {name!r} is declared more than once")
        return FormRules(
            files={_named(file): self._rule(file) for file in files},
            texts={text.name: text for text in texts},
        )

    def _rule(self, file: File) -> FileRule:
        rule = file.over(self._rules).rule(self._storage, self._staging)
        self._made[id(rule)] = rule
        if self._register is not None:
            self._register.knows(rule.storage)
            if rule.staging is not None:
                self._register.knows(rule.staging)
        return rule

    def _spec(self, form: FormRules, give: Callable[[Submission], T], gives: object) -> Spec[T]:
        return Spec(
            form=form,
            limits=self._limits,
            give=give,
            keeps_on_error=self._keeps_on_error,
            capacity=self.capacity,
            digests=self._digests,
            gives=gives,
            register=self._register,
        )


def _check_rules(method: str, rules: FileRules, known: type) -> None:
    """What a type checker refuses: a rule that would be of no effect here, or that is no rule."""
    unknown = [name for name in rules if name not in known.__annotations__]
    if unknown:
        raise TypeError(f"{method}() takes no {', '.join(unknown)}; it takes {', '.join(known.__annotations__)}")


def _check_staging(staging: Storage) -> None:
    check_storage(staging)
    if not reads_staged(staging):
        raise TypeError(f"staging is read before a file is published, and storage {staging.name!r} cannot do that")


def _check_register(pipeline: object) -> None:
    if isinstance(pipeline, type) or not isinstance(pipeline, Register):
        raise TypeError(f"pipeline is Pipeline(...), or what else has the methods of a Register, and not {pipeline!r}")


def _named(field: File | Text) -> str:
    if field.name is None:
        raise TypeError(f"a field has a name, as in File('avatar'); only in a typed form it may be left out: {field!r}")
    return field.name


def _first(submission: Submission) -> UploadedFile:
    return submission.files[0]


def _first_or_none(submission: Submission) -> UploadedFile | None:
    return submission.file


def _files(submission: Submission) -> list[UploadedFile]:
    return list(submission.files)
