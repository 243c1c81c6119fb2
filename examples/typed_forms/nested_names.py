"""A form with parts inside parts, and what is told of its errors. Run it: python nested_names.py"""

from __future__ import annotations

from pydantic import BaseModel, Field

from uploadkit import InvalidForm, MemoryStorage, UploadedFile, Uploader, receive
from uploadkit.testing import FormBuilder


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
