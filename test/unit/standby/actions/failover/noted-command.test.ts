import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { awaitEarlier } from '../../../../../src/standby/actions/failover/noted-command.ts';
import type { StandbyDeps } from '../../../../../src/standby/deps.ts';
import { runSiteCommand } from '../../../../../src/standby/server/shell-command.ts';
import { runCommand } from '../../../../../src/system/command.ts';
import { temporaryDirectory } from '../../../system/temporary.ts';

const noted = { key: 'action_fence', pidName: 'pitrtools-fence', limitS: 0 } as const;

function depsFor(pgdata: string): StandbyDeps {
  const log = { notice: () => undefined };
  const signal = new AbortController().signal;
  const clock = { monotonicMs: () => 0, pause: () => Promise.resolve(), signal };
  return {
    settings: { pgdata },
    log,
    run: runCommand,
    calledAs: '-F999',
    ...clock,
  } as unknown as StandbyDeps;
}

/** What such a command leaves if cmd_standby and its host end: its own pid is that of a process which runs now. */
async function leftFile(): Promise<{ readonly deps: StandbyDeps; readonly file: string }> {
  const pgdata = temporaryDirectory();
  const file = join(pgdata, noted.pidName);
  const deps = depsFor(pgdata);
  await runSiteCommand(deps, 'true', 10_000, { pidFile: file, args: ['x'] });
  return { deps, file };
}

const first = /^\d+/;

test('a command of an earlier run is waited for, and one from before the last start of the host is not', async () => {
  const { deps, file } = await leftFile();
  const other = spawn('sleep', ['60'], { env: { ...process.env, PITRTOOLS_PGDATA: deps.settings.pgdata } });
  try {
    await new Promise((resolve) => other.once('spawn', resolve));
    const written = readFileSync(file, 'utf8').replace(first, String(other.pid));
    writeFileSync(file, written);
    await expect(awaitEarlier(deps, noted)).rejects.toThrow('does not end');
    // An earlier release wrote the pid alone.
    writeFileSync(file, `${other.pid ?? 0}\n`);
    await expect(awaitEarlier(deps, noted)).rejects.toThrow('does not end');
    writeFileSync(file, `${other.pid ?? 0} 00000000-0000-0000-0000-000000000000\n`);
    await expect(awaitEarlier(deps, noted)).resolves.toBeUndefined();
    expect(written.trim().split(' ')).toHaveLength(2);
  } finally {
    other.kill();
  }
});
