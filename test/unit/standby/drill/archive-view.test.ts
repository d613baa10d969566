import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parseWalName } from '../../../../src/postgres/wal-name.ts';
import type { StandbyDeps } from '../../../../src/standby/deps.ts';
import { makeView } from '../../../../src/standby/drill/archive-view.ts';
import type { Origin } from '../../../../src/standby/drill/origin.ts';
import { drillPlace } from '../../../../src/standby/drill/place.ts';
import { runCommand } from '../../../../src/system/command.ts';
import { temporaryDirectory } from '../../system/temporary.ts';

const segment = (number: number) => `00000001000000000000000${number}`;
const state = { kind: 'recovering', answers: true, replayed: 0xf000000n, progress: '' } as const;

test('WAL that arrives and is let go of while a standby is copied is kept for the copy', async () => {
  const archivedir = temporaryDirectory();
  const place = drillPlace(temporaryDirectory());
  for (const name of ['.pitrtools', segment(3)]) writeFileSync(join(archivedir, name), name);
  const origin = {
    archive: { directory: archivedir },
    wal: { from: parseWalName(segment(3)), layout: { segmentSize: 0x1000000, walSegmentSkipsFF: false } },
    server: {},
    state,
  } as unknown as Origin;
  let looks = 0;
  const deps = {
    settings: { drill_nice: 0, drill_ionice: 'off' },
    run: runCommand,
    signal: new AbortController().signal,
    log: { debug: () => undefined },
    pause: () => new Promise((resolve) => setTimeout(resolve, 1)),
  } as unknown as StandbyDeps;
  const observe = () => {
    looks += 1;
    return Promise.resolve(state);
  };
  const view = await makeView(deps, origin, place, false, observe);
  try {
    writeFileSync(join(archivedir, segment(4)), 'of the copy');
    const seen = looks;
    await expect.poll(() => looks, { timeout: 10_000 }).toBeGreaterThan(seen + 2);
    // At a restartpoint.
    rmSync(join(archivedir, segment(4)));
    await view.complete();
    expect(readFileSync(join(place.archive, segment(4)), 'utf8')).toBe('of the copy');
  } finally {
    await view.end();
  }
});
