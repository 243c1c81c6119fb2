// Express with multer's diskStorage. express and multer are found by NODE_PATH, outside of this project.
"use strict";

const { randomUUID } = require("node:crypto");
const express = require("express");
const multer = require("multer");

const storage = multer.diskStorage({
  destination: process.env.BENCH_FOLDER,
  filename: (request, file, done) => done(null, randomUUID()),
});

const app = express();
app.post("/upload", multer({ storage }).single("file"), (request, response) => {
  const texts = ["title", "author", "note"].map((name) => request.body[name] ?? "");
  response.type("text/plain").send(texts.join("|"));
});
app.get("/other", (request, response) => response.type("text/plain").send("ok"));
app.listen(Number(process.argv[2]), "127.0.0.1");
