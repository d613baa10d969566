// Usage: run-together.js SCRIPT...
// Runs scripts of package.json, as many at once as there are cores, and shows what each printed when it has ended. All of them run,
// also after one has failed; then the exit status is 1.
import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';

const waiting = process.argv.slice(2);
const failed = [];

await Promise.all(Array.from({ length: availableParallelism() }, runNext));
if (failed.length > 0) console.log(`failed: ${failed.join(', ')}`);
process.exitCode = failed.length > 0 || process.argv.length < 3 ? 1 : 0;

async function runNext() {
  for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
    const { code, output } = await run('npm', ['run', '--silent', name]);
    process.stdout.write(`${name}: ${code === 0 ? 'ok' : 'FAILED'}\n${output}`);
    if (code !== 0) failed.push(name);
  }
}

function run(program, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const chunks = [];
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (chunk) => chunks.push(chunk));
    child.once('error', reject);
    // A signal leaves no code: a failure too.
    child.once('close', (code) => resolve({ code, output: chunks.join('') }));
  });
}
