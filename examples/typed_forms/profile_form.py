"""A typed form, for the applications beside this file. Alone it receives a few forms: python profile_form.py"""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import BaseModel, Field

from uploadkit import IMAGES, DiskStorage, File, InvalidForm, Limits, MemoryStorage, UploadedFile, Uploader, receive
from uploadkit.testing import FormBuilder


class Profile(BaseModel):
    name: str = Field(min_length=2, max_length=80)
    born: date
    avatar: Annotated[UploadedFile, File(accept=IMAGES, max_size="5 MB")] | None = None
    photos: Annotated[list[UploadedFile], File(accept=IMAGES, max_count=12)]


upload = Uploader(DiskStorage("uploads"), limits=Limits(file_size="20 MB"))
profile_form = upload.form(Profile)


def answer(profile: Profile) -> dict[str, object]:
    return {
        "name": profile.name,
        "year": profile.born.year,
        "avatar": profile.avatar and profile.avatar.content_type,
        "photos": [photo.filename for photo in profile.photos],
    }


class Address(BaseModel):
    street: str
    city: str


class Order(BaseModel):
    address: Address
    items: list[str] = Field(min_length=1)
    receipt: UploadedFile | None = None


orders = Uploader(MemoryStorage())


def main() -> None:
    form = FormBuilder().text("address[street]", "Main St 1").text("address[city]", "Bern").text("items[]", "tea")
    order = receive(orders.form(Order, nested=True), form.content_type, [form.body])
    print(order.address.city, order.items)

    form = FormBuilder().text("address", '{"street": "Main St 1"}').file("reciept", b"...", filename="a.pdf")
    try:
        receive(orders.form(Order), form.content_type, [form.body])
    except InvalidForm as error:
        for each in error.errors:
            print(each.field, *each.path, each.code, each.message, sep=" | ")


if __name__ == "__main__":
    main()
