import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { StandbyDeps } from '../../../../src/standby/deps.ts';
import { drillPlace } from '../../../../src/standby/drill/place.ts';
import { roomInDoubt } from '../../../../src/standby/drill/room.ts';
import { sizeLook } from '../../../../src/standby/drill/watch.ts';
import { temporaryDirectory } from '../../system/temporary.ts';

const megabyte = 1024 * 1024;
const settings = { drill_limit: 2 * megabyte, drill_reserve: 0 } as unknown as StandbyDeps['settings'];

/** One look at a copy of 4 MB. */
async function lookAtCopy(sharedBytes: number) {
  const place = drillPlace(temporaryDirectory());
  mkdirSync(place.run, { recursive: true });
  writeFileSync(join(place.run, 'file'), Buffer.alloc(4 * megabyte, 1));
  let nowMs = 0;
  const seen = { bytes: 0, sharedBytes, isActing: false };
  const look = sizeLook({ deps: { settings, monotonicMs: () => nowMs }, place, seen });
  nowMs = 60_000;
  return { reason: await look(), seen };
}

test('files that share their blocks with the standby do not use up drill_limit', async () => {
  const { reason, seen } = await lookAtCopy(3 * megabyte);
  expect(reason).toBeUndefined();
  expect(seen.bytes).toBe(megabyte);
  expect((await lookAtCopy(0)).reason?.message).toContain('the copy takes 4.0 MB, and drill_limit is 2.0 MB');
});

test('a dry run refuses only what the drill refuses on any file system', async () => {
  const place = drillPlace(temporaryDirectory());
  const inDoubt = (needed: number, least: number) => roomInDoubt({ settings }, place, needed, least);
  expect(await inDoubt(megabyte, megabyte)).toBeUndefined();
  expect((await inDoubt(4 * megabyte, megabyte))?.message).toContain('drill_limit');
  await expect(inDoubt(4 * megabyte, 4 * megabyte)).rejects.toThrow('the copy would take');
});
