import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../errors.ts';
import { fsyncPath, namesIfThere } from './durable.ts';
import type { Log } from './log.ts';

const suffix = '.proof';

/**
 * As long as this file exists with the same content, everything that was archived was archived for that standby as
 * well. The proof of what the standby has names that content (archiver/lane/catch-up.ts).
 */
export function proofFileIn(privateDirectory: string, standby: string): string {
  return join(privateDirectory, `${standby}${suffix}`);
}

/**
 * Ends the proofs of these standbys. It needs no lock and no space, so that archiving never waits for it; a failure is
 * logged, and never thrown. Returns the standbys that had one.
 */
export async function withdrawProofs(
  log: Log,
  privateDirectory: string,
  isWithdrawn: (standby: string) => boolean,
): Promise<readonly string[]> {
  try {
    const files = (await namesIfThere(privateDirectory)).filter(
      (file) => file.endsWith(suffix) && !file.startsWith('.') && isWithdrawn(file.slice(0, -suffix.length)),
    );
    for (const file of files) await rm(join(privateDirectory, file), { force: true });
    if (files.length > 0) await fsyncPath(privateDirectory);
    return files.map((file) => file.slice(0, -suffix.length));
  } catch (error) {
    log.warning(`cannot withdraw the proof of what a standby has: ${messageOf(error)}`, {
      hint: `Remove ${join(privateDirectory, `*${suffix}`)}: every standby is then asked again.`,
    });
    return [];
  }
}
