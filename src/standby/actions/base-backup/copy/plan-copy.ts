import { refusal } from '../../../../errors.ts';
import { inMegabytes } from '../../../../megabytes.ts';
import { type CopyRules, dataRules, tablespaceRules } from '../../../host/copy-rules.ts';
import { outsidePgdata, tablespaceFolder } from '../../../host/tablespaces.ts';
import { originName, originOf } from '../../../primary/origin.ts';
import { refuseOn, sayOverruled } from '../../../steps/objections.ts';
import { type BackupContext, needed } from '../context.ts';
import { requireDropped } from '../on-primary/tablespaces-meanwhile.ts';
import { locatedOn } from '../source/origin.ts';
import { rulesForSource } from '../source/own-files.ts';
import { removeReceived } from '../streaming/receive.ts';
import { trustedUntilMs } from './comparison.ts';
import { listRoot } from './list-files.ts';
import { surveyTarget } from './local-files.ts';
import { type CopyPlan, type CopyRoot, planOf, type SurveyedRoot } from './planned-files.ts';
import { measureRoom, roomObjections } from './room.ts';

type Place = Pick<CopyRoot, 'kind' | 'name' | 'source' | 'target'> & {
  readonly rules: CopyRules;
  /** Undefined for the data directory. */
  readonly oid?: string;
};

/** Tablespaces come first: if one of them is missing or full, that is found out before most of the data is copied. */
function placesOf({ facts, primary }: BackupContext): readonly Place[] {
  const origin = originOf(primary).facts;
  const targets = locatedOn(facts.place.targets, origin);
  const folder = tablespaceFolder(origin.capabilities, needed(origin.control, 'pg_control'));
  const below = (path: string) => (folder === undefined ? path : `${path}/${folder}`);
  const tablespaces = outsidePgdata(targets).map(({ oid, name, location, target }) => {
    const rules = tablespaceRules(folder);
    return { kind: 'tablespace', oid, name, source: below(location), target: below(target), rules } as const;
  });
  const own = dataRules(targets, origin.dataDirectory, facts.place.ownConfiguration);
  const rules = primary.source === undefined ? own : rulesForSource(own);
  const data = { kind: 'data', name: 'data directory', rules } as const;
  return [...tablespaces, { ...data, source: origin.dataDirectory, target: facts.place.pgdata }];
}

/** If a tablespace was dropped a moment ago, WAL replay drops it here, too. Its files here are removed. */
const nothing = { directories: [], files: [], links: [], bytes: 0 } as const;

async function listPlace(context: BackupContext, { rules, oid, ...root }: Place): Promise<CopyRoot> {
  const { primary, deps } = context;
  const limitMs = deps.settings.base_backup_timeout * 1000;
  const where = originName(primary);
  const listing = await listRoot(originOf(primary).shell, { ...root, rules, where }, limitMs);
  deps.signal.throwIfAborted();
  if (listing === undefined && root.kind === 'data')
    throw refusal(`there is no "${root.source}" on ${where}`);
  if (listing === undefined && oid !== undefined)
    await requireDropped(context, { oid, name: root.name }, `"${root.source}" on ${where}`);
  return { ...root, ...(listing ?? nothing) };
}

async function requireRoom({ deps, facts }: BackupContext, roots: readonly SurveyedRoot[]): Promise<void> {
  const needs = await measureRoom(roots.map(({ target, here }) => ({ target, ...here })));
  for (const { targets, neededBytes, freeBytes } of needs)
    deps.log.notice(
      `${targets.join(', ')}: ${inMegabytes(neededBytes)} more are needed, ${inMegabytes(freeBytes)} are free`,
    );
  const objections = roomObjections(needs);
  refuseOn(objections, facts.force);
  sayOverruled(deps, objections, facts.force);
}

/** Lists the files on the primary and compares them with the files here. Every refusal comes before a byte changes. */
export async function planCopy(context: BackupContext): Promise<CopyPlan> {
  const { deps, facts } = context;
  // rsync cannot use the files that pg_basebackup received in a killed run, and they take up space.
  await removeReceived(facts.place);
  const listed: { root: CopyRoot; rules: CopyRules }[] = [];
  for (const place of placesOf(context))
    listed.push({ root: await listPlace(context, place), rules: place.rules });
  const roots: SurveyedRoot[] = [];
  const sinceMs = trustedUntilMs(facts);
  for (const { root, rules } of listed)
    roots.push({ ...root, here: await surveyTarget(root, rules, sinceMs) });
  const plan = planOf(roots);
  const { files, bytes } = plan;
  const present = roots.reduce((sum, { here }) => sum + here.presentBytes, 0);
  deps.log.notice(
    `${files} files (${inMegabytes(bytes)}) to copy; ${inMegabytes(present)} already here, to be checked`,
  );
  context.onEvent({ kind: 'planned', bytes, files });
  await requireRoom(context, roots);
  return plan;
}
