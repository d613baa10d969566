import { exitCodes } from '../../../errors.ts';
import { untestedRelease } from '../../../postgres/capabilities.ts';
import type { BackupOptions, StandbyDeps } from '../../deps.ts';
import { backupJson, describeSummary } from '../../host/backup-record/describe.ts';
import type { BackupRecord } from '../../host/backup-record/record.ts';
import { noteHistory } from '../../host/history.ts';
import { describeFindings } from '../../page-check/findings.ts';
import { withPrimaryAndSource } from '../../primary/connect.ts';
import { originOf } from '../../primary/origin.ts';
import { sayWherePrimaryIsHere } from '../../primary/primary-is-here.ts';
import { limitObjectionsOf, limitsBelow } from '../../server/limits.ts';
import { serverOf } from '../../server/server.ts';
import { readConfiguration } from '../../server/server-configuration.ts';
import { carryOut, printPlan } from '../../steps/carry-out.ts';
import { sayOverruled } from '../../steps/objections.ts';
import { bindSteps } from '../../steps/step-table.ts';
import type { BackupContext } from './context.ts';
import { withConnections } from './copy/connections.ts';
import { type BackupFacts, observeForBackup } from './facts.ts';
import { listObjections } from './objections.ts';
import { stopWithSessions } from './on-primary/needed-sessions.ts';
import { planBaseBackup } from './plan.ts';
import { withProgress } from './progress/progress.ts';
import { type BackupRun, resultOf } from './results.ts';
import type { BackupStep } from './steps.ts';
import { backupSteps } from './steps.ts';

const repairHint =
  'Repair the primary, or go back to an older backup. A server can start on this copy, but it has the same damage.';
const otherSourceHint =
  'Run -B --verify again without basebackup_source:, so that the files of the primary are copied.';

function reportEnd({ deps, facts, primary }: BackupContext, backup: BackupRecord, json: boolean): number {
  const { findings = [] } = backup.verified ?? {};
  if (json) deps.report(backupJson(facts.place.pgdata, backup, false));
  else {
    for (const line of describeSummary(backup)) deps.report(line);
    deps.report('Base backup finished successfully');
  }
  if (findings.length === 0) return 0;
  // These pages are damaged on the origin, too. If only the copy were damaged, the base backup would not have finished.
  const isFromPrimary = primary.source === undefined;
  deps.log.error(`the base backup is a true copy of a damaged ${isFromPrimary ? 'primary' : 'standby'}`, {
    detail: describeFindings(findings),
    hint: isFromPrimary ? repairHint : otherSourceHint,
  });
  return exitCodes.failure;
}

/** Warns that --verify has no effect, and gives the reason. */
function noticeUnverified(deps: StandbyDeps, { primary, streaming }: BackupFacts): void {
  if (!primary.settings.dataChecksums)
    deps.log.notice('the primary has no data checksums, so --verify has nothing to check');
  else if (streaming !== undefined)
    deps.log.notice(
      'from 11 on the server checks every page that it sends to pg_basebackup; for the copy run --verify by itself',
    );
}

/** The copy is good with any settings, but -S could not start with these: the operator learns it in time. */
async function warnOfLowLimits(deps: StandbyDeps, { primary, place }: BackupFacts): Promise<void> {
  const { capabilities, settings: server } = primary;
  // A pgdata without a configuration gets the primary's own, whose settings are high enough.
  if (place.content.kind !== 'cluster' && deps.settings.pg_conf === undefined) return;
  const here = serverOf(deps, capabilities);
  const configuration = await readConfiguration(here, 'standby');
  const low = await limitsBelow(here, configuration, server.standbyLimits);
  for (const { message, hint } of limitObjectionsOf(low, configuration)) deps.log.warning(message, { hint });
}

/** Carries out the steps while the progress is shown, with connections for all workers. */
async function carryOutWatched(run: BackupRun, steps: readonly BackupStep[], json: boolean): Promise<void> {
  const { deps, facts, primary } = run;
  // Standard output contains only the JSON object.
  const report = json
    ? (line: string) => {
        deps.log.debug(line);
      }
    : deps.report;
  const further = facts.rsync === undefined ? 0 : deps.settings.rsync_threads - 1;
  await withProgress({ ...deps, report }, json, (watched) =>
    withConnections(watched.deps, originOf(primary).shell.target, further, (takeConnection) =>
      carryOut(watched.deps, bindSteps(steps, backupSteps, { ...run, ...watched, takeConnection })),
    ),
  );
}

function noteBackup(deps: StandbyDeps, { label, startLsn, source }: BackupRecord): Promise<void> {
  return noteHistory(deps, {
    kind: 'base-backup',
    label,
    startLsn,
    ...(source === undefined ? {} : { source }),
  });
}

/**
 * -B: makes pgdata a copy of the primary that a server can recover from, together with the WAL in archivedir. Every
 * refusal comes before anything changes. From the first changed byte until the end no server can start.
 */
export async function baseBackup(given: StandbyDeps, options: BackupOptions): Promise<number> {
  await sayWherePrimaryIsHere(given);
  return withPrimaryAndSource(given, async (primary) => {
    const beganMs = given.monotonicMs();
    const state: BackupRun['state'] = { onPrimary: 'none', isCopyBegun: false };
    const deps = stopWithSessions(
      given,
      primary,
      () => primary.protocol === undefined && state.onPrimary !== 'ended',
    );
    const facts = await observeForBackup(deps, primary, options);
    const steps = planBaseBackup(facts);
    sayOverruled(deps, listObjections(facts), options.force);
    const untested = untestedRelease(primary.facts.capabilities);
    if (untested !== undefined) deps.log.warning(untested);
    if (options.verify) noticeUnverified(deps, facts);
    await warnOfLowLimits(deps, facts);
    const run: BackupRun = { deps, primary, facts, onEvent: () => undefined, results: {}, state, beganMs };
    if (options.dryRun) {
      printPlan(deps, bindSteps(steps, backupSteps, run));
      return 0;
    }
    await carryOutWatched(run, steps, options.json);
    const record = resultOf(run, 'finish');
    await noteBackup(deps, record);
    return reportEnd(run, record, options.json);
  });
}
