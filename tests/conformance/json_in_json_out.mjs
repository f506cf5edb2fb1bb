// How pytest talks to these scripts: JSON on stdin, the answer as the last line of stdout.

export async function answer(work) {
  let text = "";
  for await (const chunk of process.stdin) text += chunk;
  try {
    const result = await work(JSON.parse(text));
    process.stdout.write(`\n${JSON.stringify(result)}\n`, () => process.exit(0));
  } catch (error) {
    console.error(error);
    process.exit(1);
  }
}

// Wait until `condition()` is true; whoever started the script decides how long that may take.
export async function until(condition) {
  while (!condition()) await new Promise((resume) => setTimeout(resume, 10));
}
