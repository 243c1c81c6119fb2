"""Without a framework: a form from any iterable of bytes. Run it: python examples/any_source.py"""

from __future__ import annotations

from uploadkit import IMAGES, MemoryStorage, SenderError, Uploader, receive
from uploadkit.testing import FormBuilder

upload = Uploader(MemoryStorage())
avatar = upload.single("avatar", accept=IMAGES)

form = FormBuilder().file("avatar", b"\x89PNG\r\n\x1a\n...", filename="me.png", content_type="image/png")
file = receive(avatar, form.content_type, [form.body])
print(file.filename, file.content_type, file.size)

form = FormBuilder().file("avatar", b"plain text", filename="me.png", content_type="image/png")
try:
    receive(avatar, form.content_type, [form.body])
except SenderError as error:
    print(error.status, error.code, error)
