import { realpath } from 'node:fs/promises';
import { dirname, relative } from 'node:path';
import { PitrError } from '../../../../errors.ts';
import type { Capabilities } from '../../../../postgres/capabilities.ts';
import { describeResult, succeeded } from '../../../../system/command.ts';
import { ensureDirectory, exists } from '../../../../system/durable.ts';
import { removeTree } from '../../../../system/files.ts';
import { mountsBelow } from '../../../../system/mounts.ts';
import type { StandbyDeps } from '../../../deps.ts';
import { dataRules } from '../../../host/copy-rules.ts';
import { receivingName } from '../../../host/pgdata-content.ts';
import type { LocalPlace } from '../../../host/place.ts';
import { filledDirectories, isServersName, outsidePgdata } from '../../../host/tablespaces.ts';
import { localPath, plannedNamesIn } from '../copy/planned-files.ts';
import type { Demand } from '../copy/room.ts';
import { receivingPlaces } from './places.ts';

const measureMs = 10 * 60_000;

/**
 * Whether a new copy replaces this entry of pgdata: everything except the standby's own files and the files that are
 * being received.
 */
export function isReplaced(place: Pick<LocalPlace, 'targets' | 'ownConfiguration'>, name: string): boolean {
  return (
    !dataRules(place.targets, '/', place.ownConfiguration).isKept(name, false) &&
    !name.startsWith(receivingName)
  );
}

/** Mount points below pgdata, in entries that a new copy replaces. */
export async function findMounted(
  place: LocalPlace,
  mounted: typeof mountsBelow = mountsBelow,
): Promise<readonly string[]> {
  const names = await namesIn(place.pgdata);
  if (names.length === 0) return [];
  const pgdata = await realpath(place.pgdata);
  return (await mounted([pgdata])).filter((point) => {
    const [top = ''] = relative(pgdata, point).split('/');
    return names.includes(top) && isReplaced(place, top);
  });
}

async function namesIn(directory: string): Promise<readonly string[]> {
  return (await exists(directory)) ? plannedNamesIn(directory) : [];
}

/** For each directory of this host, the parts of the present copy that a new one replaces. */
async function findOldParts(place: LocalPlace, capabilities: Capabilities) {
  const { pgdata, targets } = place;
  const data = (await namesIn(pgdata)).filter((name) => isReplaced(place, name));
  const parts = [{ target: pgdata, paths: data.map((name) => localPath(pgdata, name)) }];
  for (const { target } of outsidePgdata(targets)) {
    const folders = (await namesIn(target)).filter((name) => isServersName(capabilities, undefined, name));
    parts.push({ target, paths: folders.map((name) => localPath(target, name)) });
  }
  return parts;
}

/** A name that is no valid text cannot be passed to a program: what has such a name frees space that is not counted. */
function passable(paths: readonly (string | Buffer)[]): readonly string[] {
  return paths.map((path) => path.toString('utf8')).filter((path) => !path.includes('\ufffd'));
}

async function measure(deps: StandbyDeps, all: readonly (string | Buffer)[]): Promise<number> {
  const paths = passable(all);
  if (paths.length === 0) return 0;
  const result = await deps.run(
    { program: 'du', args: ['-x', '-c', '-s', '-B1', '--', ...paths] },
    { limitMs: measureMs, signal: deps.signal },
  );
  const total = /^(\d+)\s+total$/m.exec(result.stdout)?.[1];
  if (succeeded(result) && total !== undefined) return Number(total);
  throw new PitrError(`cannot measure the copy in ${paths[0] ?? ''}: du: ${describeResult(result)}`);
}

/** The bytes that removing the present copy would free, as negative needs of its directories. */
export async function bytesToBeFreed(
  deps: StandbyDeps,
  place: LocalPlace,
  capabilities: Capabilities,
): Promise<readonly Demand[]> {
  const demands: Demand[] = [];
  for (const { target, paths } of await findOldParts(place, capabilities))
    demands.push({ target, neededBytes: -(await measure(deps, paths)) });
  return demands;
}

/** The same for files that a killed run received: the next run removes them before it begins. */
export async function bytesLeftBehind(deps: StandbyDeps, place: LocalPlace): Promise<readonly Demand[]> {
  const demands: Demand[] = [];
  for (const path of receivingPlaces(place)) {
    if (await exists(path))
      demands.push({ target: dirname(path), neededBytes: -(await measure(deps, [path])) });
  }
  return demands;
}

/** If a directory cannot be made, that must be found out before the present copy is removed. */
export async function makeTargets(place: LocalPlace): Promise<void> {
  for (const path of filledDirectories(place)) await ensureDirectory(path);
}

/** Removes the present copy. The directories themselves stay, because they may be mount points. */
export async function removeOldCopy(place: LocalPlace, capabilities: Capabilities): Promise<void> {
  for (const { paths } of await findOldParts(place, capabilities))
    for (const path of paths) await removeTree(path);
}
