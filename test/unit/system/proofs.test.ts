import { existsSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Log } from '../../../src/system/log.ts';
import { proofFileIn, withdrawProofs } from '../../../src/system/proofs.ts';
import { temporaryDirectory } from './temporary.ts';

function recordingLog() {
  const messages: string[] = [];
  const warning = (message: string, more: { hint?: string } = {}) => {
    messages.push(`${message} ${more.hint ?? ''}`);
  };
  return { log: { warning } as unknown as Log, messages };
}

test('only the proofs of these standbys end, and no other file', async () => {
  const directory = temporaryDirectory();
  for (const name of ['s1.proof', 's2.proof', 's2.json', 's2.lock'])
    writeFileSync(join(directory, name), 'x');
  const { log, messages } = recordingLog();
  await withdrawProofs(log, directory, (standby) => standby === 's2');
  expect(readdirSync(directory).sort()).toEqual(['s1.proof', 's2.json', 's2.lock']);
  await withdrawProofs(log, directory, () => true);
  expect(existsSync(proofFileIn(directory, 's1'))).toBe(false);
  expect(messages).toEqual([]);
});

test('a failure is logged with the way out, and stops nothing', async () => {
  const directory = temporaryDirectory();
  // What cannot be removed as a file.
  mkdirSync(proofFileIn(directory, 's1'));
  const { log, messages } = recordingLog();
  await withdrawProofs(log, directory, () => true);
  expect(messages.join(' ')).toContain('cannot withdraw the proof');
  expect(messages.join(' ')).toContain('*.proof');
  await withdrawProofs(log, join(directory, 'absent'), () => true);
  rmSync(proofFileIn(directory, 's1'), { recursive: true });
  symlinkSync('/nowhere', proofFileIn(directory, 's1'));
  await withdrawProofs(log, directory, () => true);
  expect(readdirSync(directory)).toEqual([]);
  expect(messages).toHaveLength(1);
});
