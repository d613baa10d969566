/** Where a former primary may store WAL: below the archive that this host has as a standby. */
import { readdir, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import type { RsyncModule } from '../../system/rsync-daemon.ts';
import { offerPattern } from '../../verbs/scripts/offer.ts';
import type { ArchiverDeps } from '../deps.ts';
import { archiveHere } from './standby-part.ts';

async function realPathOf(path: string): Promise<string | undefined> {
  return realpath(path).catch(() => undefined);
}

/** Why nothing can be offered for this archive; undefined if it is that of this host. */
export async function offerReason(deps: ArchiverDeps, asked: string): Promise<string | undefined> {
  const own = await archiveHere(deps);
  if (own === undefined) return 'this host has no INI file of cmd_standby, and so no archive';
  const real = await realPathOf(own);
  return real !== undefined && real === (await realPathOf(asked))
    ? undefined
    : `the archive here is ${own}, not ${asked}`;
}

async function directoriesIn(path: string): Promise<readonly string[]> {
  const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
}

/** The directories that an offer has made. */
export async function offeredModules(deps: ArchiverDeps): Promise<readonly RsyncModule[]> {
  // Without it nothing can be offered; reading is another matter.
  const archive = await archiveHere(deps).catch(() => undefined);
  const real = archive === undefined ? undefined : await realPathOf(archive);
  if (archive === undefined || real === undefined) return [];
  const found: string[] = [];
  for (const diverged of (await directoriesIn(real)).filter((name) => name.startsWith('.diverged-')))
    for (const host of await directoriesIn(join(real, diverged)))
      for (const run of await directoriesIn(join(real, diverged, host)))
        found.push(`${diverged}/${host}/${run}`);
  return found
    .filter((name) => offerPattern.test(name))
    .flatMap((name) =>
      [...new Set([archive, real])].map((parent) => ({
        asked: join(parent, name),
        path: join(real, name),
        access: 'write' as const,
      })),
    );
}
