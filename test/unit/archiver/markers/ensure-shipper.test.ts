import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { ArchiverDeps } from '../../../../src/archiver/deps.ts';
import { ensureShipper } from '../../../../src/archiver/markers/ask.ts';
import type { ShipperPlaces } from '../../../../src/archiver/markers/places.ts';
import { type RunCommand, runCommand, startSession } from '../../../../src/system/command.ts';
import { temporaryDirectory } from '../../system/temporary.ts';

function places(): ShipperPlaces {
  const directory = temporaryDirectory();
  return { lock: join(directory, 'lock'), log: join(directory, 'log') } as ShipperPlaces;
}

/** Holds the lock in this way until it is ended. */
async function holderOf({ lock }: ShipperPlaces, kind: '-s' | '-x') {
  writeFileSync(lock, '');
  let holding: (() => void) | undefined;
  const held = new Promise<void>((resolve) => (holding = resolve));
  const session = startSession(
    { program: '/bin/sh', args: ['-c', 'exec 9<"$1"; flock "$2" 9; echo held; cat', 'sh', lock, kind] },
    { onLine: () => holding?.() },
  );
  await held;
  return {
    end: async () => {
      session.close();
      await session.ended;
    },
  };
}

async function ensure(given: ShipperPlaces, run: RunCommand) {
  const started: string[] = [];
  const startShipper = (log: string) => {
    started.push(log);
    return Promise.resolve(true);
  };
  const said = await ensureShipper({ run } as ArchiverDeps, { configFile: '', startShipper }, given);
  return { said, started: started.length };
}

test('a shipper that holds the lock runs', async () => {
  const given = places();
  const shipper = await holderOf(given, '-x');
  expect(await ensure(given, runCommand)).toEqual({ said: 'runs', started: 0 });
  await shipper.end();
});

test('one who only looks whether there is a shipper is not taken for one', async () => {
  const given = places();
  const look = await holderOf(given, '-s');
  // The look ends once it was in the way.
  const run: RunCommand = async (command, options) => {
    const result = await runCommand(command, options);
    await look.end();
    return result;
  };
  expect(await ensure(given, run)).toEqual({ said: 'started', started: 1 });
});
