import { readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { nearestName } from '../../config/nearest.ts';
import { exists } from '../../system/durable.ts';
import type { Objection } from '../steps/objections.ts';

/** The names of data directories beside a path; none if the parent cannot be read. */
async function dataDirectoriesBeside(path: string): Promise<readonly string[]> {
  const parent = dirname(path);
  const names = await readdir(parent).catch(() => []);
  const isData = await Promise.all(
    names.map((name) => exists(join(parent, name, 'PG_VERSION')).catch(() => false)),
  );
  return names.filter((_, index) => isData[index]);
}

/**
 * A pgdata that does not exist although a data directory with nearly the same name does. A typing error would make a
 * new directory for the standby, while its server continues to use the other one.
 */
export async function misspeltPgdata(pgdata: string): Promise<readonly Objection[]> {
  if (await exists(pgdata)) return [];
  const meant = nearestName(basename(pgdata), await dataDirectoriesBeside(pgdata));
  if (meant === undefined) return [];
  return [
    {
      name: 'new-pgdata',
      message: `pgdata "${pgdata}" does not exist, and "${join(dirname(pgdata), meant)}" beside it is a data directory`,
      hint: 'Correct pgdata in the INI file, if that one is meant.',
      cost: 'a new directory is made',
    },
  ];
}
