import { isAbsolute, join, relative, sep } from 'node:path';
import type { StandbySettings } from '../../config/options-standby.ts';
import { parseSettings } from '../../postgres/settings-file.ts';
import { exists, readIfExists } from '../../system/durable.ts';
import { readRecord, type StandbyRecord } from './backup-record/record.ts';
import { runtimeFiles } from './copy-rules.ts';
import type { TablespaceTarget } from './tablespaces.ts';

/** The usual place of a DBA's settings, whichever file includes it. */
const usualDirectory = 'conf.d';

/** Directories that the server fills. They must come from the primary, even if a DBA keeps configuration in them. */
const serversOwn = /^(base|global|PG_VERSION|pg_.*|postgresql\.auto\.conf)$/;

/** The first part of a path below a directory; undefined if the path leads out of it. */
function topOf(directory: string, path: string): string | undefined {
  const [top] = relative(directory, isAbsolute(path) ? path : join(directory, path)).split(sep);
  return top === '' || top === '..' ? undefined : top;
}

/** Names in pgdata that a postgresql.conf there includes. */
export function includedNames(text: string, pgdata: string): readonly string[] {
  return parseSettings(text).flatMap((line) =>
    line.kind === 'include' ? (topOf(pgdata, line.path) ?? []) : [],
  );
}

/**
 * Names in pgdata that hold configuration of this standby, beside the files that are always its own. While a copy is unfinished
 * its record has them: a directory of the primary's may have come with it in part.
 */
export async function findOwnConfiguration(
  { pgdata, pg_conf, no_copy_conf }: Pick<StandbySettings, 'pgdata' | 'pg_conf' | 'no_copy_conf'>,
  targets: readonly TablespaceTarget[],
): Promise<readonly string[]> {
  const names = new Set([usualDirectory]);
  for (const path of [join(pgdata, 'postgresql.conf'), no_copy_conf ? undefined : pg_conf]) {
    const content = path === undefined ? undefined : await readIfExists(path);
    for (const name of includedNames(content?.toString('utf8') ?? '', pgdata)) names.add(name);
  }
  const { backup } = await readRecord(pgdata).catch((): StandbyRecord => ({}));
  const known = backup?.status === 'copying' ? (backup.ownConfiguration ?? []) : undefined;
  const inside = new Set(targets.flatMap(({ target }) => topOf(pgdata, target) ?? []));
  const found: string[] = [];
  for (const name of names) {
    // find(1) on the primary would interpret a star as a pattern.
    const isTheirs =
      serversOwn.test(name) || runtimeFiles.includes(name) || inside.has(name) || name.includes('*');
    if (!isTheirs && (known?.includes(name) ?? true) && (await exists(join(pgdata, name)))) found.push(name);
  }
  return found;
}
