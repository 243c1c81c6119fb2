"""A page that knows the rules of its form: it offers what is accepted, and tells what is too large before it is sent.

    uvicorn --app-dir examples page_rules:app

The page can be changed by whoever has it. The form is judged when it arrives, by the same rules.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI
from fastapi.responses import HTMLResponse, JSONResponse

from uploadkit import DOCUMENTS, IMAGES, DiskStorage, File, Submission, Text, Uploader
from uploadkit.adapters.fastapi import install, receive

app = FastAPI()
install(app)
upload = Uploader(DiskStorage("uploads"))
report = upload.fields(
    File("report", required=True, accept=DOCUMENTS, max_size="100 KB"),
    File("pictures", accept=IMAGES, max_count=3, max_size="5 MB"),
    Text("title", required=True, max_length=80),
)


@app.get("/rules")
async def rules() -> JSONResponse:
    return JSONResponse(report.rules())


@app.post("/reports")
async def reports(submission: Annotated[Submission, receive(report)]) -> list[str]:
    return [file.filename for file in submission.files]


@app.get("/", response_class=HTMLResponse)
async def page() -> str:
    return PAGE


PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Hand in a report</title>
<form>
  <p><label>Title <input name="title"></label>
  <p><label>Report <input type="file" name="report"></label>
  <p><label>Pictures <input type="file" name="pictures"></label>
  <p><button>Hand in</button> <output></output>
</form>
<script type="module">
const form = document.forms[0], output = form.querySelector("output");
const rules = await (await fetch("rules")).json();

for (const [name, rule] of Object.entries(rules.texts)) {
  form.elements[name].required = rule.required;
  if (rule.max_length !== null) form.elements[name].maxLength = rule.max_length;
}
for (const [name, rule] of Object.entries(rules.files)) {
  const input = form.elements[name];
  input.required = rule.required;
  input.multiple = rule.multiple;
  if (rule.accept !== null) input.accept = rule.accept.join(",");
  input.addEventListener("change", () => input.setCustomValidity(mistake(rule, [...input.files])));
}

function mistake(rule, files) {
  if (rule.max_count !== null && files.length > rule.max_count) return `Choose ${rule.max_count} files at most.`;
  const large = files.find(file => rule.max_size !== null && file.size > rule.max_size);
  return large ? `${large.name} is too large: ${rule.max_size / 1e6} MB at most.` : "";
}

form.addEventListener("submit", async event => {
  event.preventDefault();  // the browser has shown what is wrong, or nothing is
  const answer = await fetch("reports", {method: "POST", body: new FormData(form)});
  const told = await answer.json();
  output.value = answer.ok ? `Received: ${told.join(", ")}` : told.detail;
});
</script>
</html>
"""
