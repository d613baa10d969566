import { refusal } from '../../../../errors.ts';
import { refuseOn, sayOverruled } from '../../../steps/objections.ts';
import { tablespaceFolder } from '../../../host/tablespaces.ts';
import { needed, type BackupContext } from '../context.ts';
import { planOf, type CopyRoot } from './planned-files.ts';
import { dataRules, tablespaceRules, type CopyRules } from '../../../host/copy-rules.ts';
import { listRoot } from './list-files.ts';
import { surveyTarget } from './local-files.ts';
import { measureRoom, roomObjections } from './room.ts';
import { inMegabytes } from '../../../../megabytes.ts';
import { locatedOn } from '../source/origin.ts';
import { originName, originOf } from '../../../primary/origin.ts';
import { rulesForSource } from '../source/own-files.ts';
import { removeReceived } from '../streaming/receive.ts';

type Place = Pick<CopyRoot, 'kind' | 'name' | 'source' | 'target'> & { readonly rules: CopyRules };

/** Tablespaces first: where one of them is missing or full it is found out before the bulk is copied. */
function placesOf({ facts, primary }: BackupContext): readonly Place[] {
  const origin = originOf(primary).facts;
  const targets = locatedOn(facts.place.targets, origin);
  const folder = tablespaceFolder(origin.capabilities, needed(origin.control, 'pg_control'));
  const below = (path: string) => (folder === undefined ? path : `${path}/${folder}`);
  const tablespaces = targets
    .filter(({ isInsidePgdata }) => !isInsidePgdata)
    .map(({ name, location, target }) => {
      const rules = tablespaceRules(folder);
      return { kind: 'tablespace', name, source: below(location), target: below(target), rules } as const;
    });
  const own = dataRules(targets, origin.dataDirectory, facts.place.ownConfiguration);
  const rules = primary.source === undefined ? own : rulesForSource(own);
  const data = { kind: 'data', name: 'data directory', rules } as const;
  return [...tablespaces, { ...data, source: origin.dataDirectory, target: facts.place.pgdata }];
}

async function listPlaces(context: BackupContext, places: readonly Place[]): Promise<readonly CopyRoot[]> {
  const { primary, deps } = context;
  const roots: CopyRoot[] = [];
  for (const { rules, ...root } of places) {
    const limitMs = deps.settings.base_backup_timeout * 1000;
    const { shell } = originOf(primary);
    const listing = await listRoot(shell, { ...root, rules, where: originName(primary) }, limitMs);
    deps.signal.throwIfAborted();
    // A tablespace that was dropped a moment ago is dropped by the WAL here, too; what is here of it is removed.
    if (listing !== undefined) roots.push({ ...root, ...listing });
    else if (root.kind === 'data') throw refusal(`there is no "${root.source}" on ${originName(primary)}`);
    else roots.push({ ...root, directories: [], files: [], links: [], bytes: 0 });
  }
  return roots;
}

async function requireRoom({ deps, facts, run }: BackupContext): Promise<void> {
  const { roots } = needed(run.plan, 'the plan');
  const demands = roots.map(({ target }, index) => {
    const { neededBytes } = needed(run.local?.[index], 'the survey');
    return { target, neededBytes };
  });
  const needs = await measureRoom(demands);
  for (const { targets, neededBytes, freeBytes } of needs)
    deps.log.notice(
      `${targets.join(', ')}: ${inMegabytes(neededBytes)} more are needed, ${inMegabytes(freeBytes)} are free`,
    );
  const objections = roomObjections(needs);
  refuseOn(objections, facts.force);
  sayOverruled(deps, objections, facts.force);
}

/** Lists what there is, and holds it against what is here: all that can be refused is refused before a byte changes. */
export async function planCopy(context: BackupContext): Promise<void> {
  const { deps, run } = context;
  // What pg_basebackup received in a run that was killed is of no use to rsync, and takes room.
  await removeReceived(context);
  const places = placesOf(context);
  const roots = await listPlaces(context, places);
  run.plan = planOf(roots);
  run.local = [];
  for (const [index, root] of roots.entries()) {
    const { rules } = needed(places[index], 'the rules');
    run.local = [...run.local, await surveyTarget(root, rules)];
  }
  const { files, bytes } = run.plan;
  const present = run.local.reduce((sum, { presentBytes }) => sum + presentBytes, 0);
  deps.log.notice(
    `${files} files with ${inMegabytes(bytes)} are to be copied; ${inMegabytes(present)} of them are here in some state`,
  );
  context.onEvent({ kind: 'planned', bytes, files });
  await requireRoom(context);
}
