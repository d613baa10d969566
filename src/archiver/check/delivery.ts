/**
 * The live proof of cmd_archiver --check: the server writes a record and ends its segment, and the segment is seen where
 * it must arrive.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { durationText } from '../../amounts.ts';
import {
  dependent,
  failure,
  good,
  of,
  skipped,
  unknown,
  type Verdict,
  verdictOfError,
} from '../../check/check.ts';
import { switchWalSql } from '../../postgres/backup-sql.ts';
import { capabilitiesOf } from '../../postgres/capabilities.ts';
import { parseVersion } from '../../postgres/version.ts';
import { parseWalName } from '../../postgres/wal-name.ts';
import { describeResult, succeeded } from '../../system/command.ts';
import { exists } from '../../system/durable.ts';
import { quoted } from '../../system/printable.ts';
import { programRoot } from '../../system/program-root.ts';
import type { RemoteShell } from '../../system/ssh.ts';
import { archiveWork } from '../../verbs/archive-requests.ts';
import { readLaneState } from '../lane/state.ts';
import { sshTargetOf } from '../lane/target.ts';
import { judgeOwnArchiving } from '../wal/own-archive-command.ts';
import { isArchived, walDirectory } from '../wal/ready-files.ts';
import { type Ask, type ServerView } from '../wal/server-view.ts';
import type { ArchiverCheck, CheckedStandby } from './context.ts';

const archivedLimitMs = 30_000;
const arrivalLimitMs = 20_000;
const pollMs = 100;
const digestLimitMs = 20_000;

interface Switched {
  /** pg_wal, or pg_xlog. */
  readonly directory: string;
  readonly name: string;
}

/** Without a record of ours an idle server would end nothing. A transaction with a number leaves one when it ends. */
const recordSql = 'SELECT txid_current()';

async function switchSegment({ deps }: ArchiverCheck, ask: Ask): Promise<Switched | Verdict> {
  const { pgdata } = deps.settings;
  const version = parseVersion(await readFile(join(pgdata, 'PG_VERSION'), 'utf8'));
  const capabilities = capabilitiesOf(version);
  const recorded = await ask(recordSql);
  const switched = recorded.kind === 'rows' ? await ask(switchWalSql(capabilities)) : recorded;
  if (switched.kind === 'none') {
    const { switchWalFunction, canGrantAdminFunctions } = capabilities;
    const grant = `GRANT EXECUTE ON FUNCTION ${switchWalFunction}() TO the role that asks`;
    return unknown(
      `the server does not end its segment for us: ${quoted(switched.reason, 300)}`,
      `It needs a superuser${canGrantAdminFunctions ? `, or ${grant}` : ''}.`,
    );
  }
  const name = parseWalName(switched.rows[0]?.[0] ?? '');
  if (name.kind !== 'segment') return unknown(`the server names no segment: "${quoted(name.text, 100)}"`);
  return { directory: await walDirectory(pgdata), name: name.text };
}

/** @returns whether it became true within the limit */
async function within(
  { deps }: ArchiverCheck,
  limitMs: number,
  test: () => Promise<boolean>,
): Promise<boolean> {
  const endMs = deps.monotonicMs() + limitMs;
  for (;;) {
    if (await test()) return true;
    if (deps.monotonicMs() >= endMs) return false;
    await deps.pause(pollMs);
  }
}

async function lastFailure(ask: Ask): Promise<string> {
  const answer = await ask('SELECT last_failed_wal, last_failed_time FROM pg_stat_archiver');
  const [name = '', time = ''] = answer.kind === 'rows' ? (answer.rows[0] ?? []) : [];
  return name === '' ? '' : `; its last failure was ${quoted(name, 100)} at ${quoted(time, 100)}`;
}

/** As PostgreSQL may call it after a crash: it must succeed, and change nothing. */
async function archiveAgain(
  check: ArchiverCheck,
  { directory, name }: Switched,
  says: string,
): Promise<Verdict> {
  const path = join(directory, name);
  if (!(await exists(path)))
    return good(says, 'A second time was not tried: PostgreSQL has removed or recycled the segment already.');
  const program = join(programRoot(), 'bin', 'cmd_archiver');
  const result = await check.deps.run(
    { program, args: ['-C', check.iniFile, '-F', path] },
    { limitMs: archivedLimitMs },
  );
  if (succeeded(result)) return good(`${says}, and a second time`);
  // A server that writes much may have recycled it meanwhile.
  if (!(await exists(path))) return unknown(`${says}; whether it does so a second time could not be seen`);
  return failure(
    `${name} was archived, but not a second time: ${describeResult(result)}`,
    'PostgreSQL may ask for a segment again after a crash, and would then archive nothing more.',
  );
}

async function digestHere(check: ArchiverCheck, { directory, name }: Switched): Promise<string | undefined> {
  const result = await check.deps.run(
    { program: 'cksum', args: [join(directory, name)] },
    { limitMs: digestLimitMs },
  );
  return succeeded(result) ? /^\d+ \d+/.exec(result.stdout)?.[0] : undefined;
}

async function digestThere(
  shell: RemoteShell,
  archivedir: string,
  name: string,
): Promise<string | undefined> {
  const result = await shell.run(archiveWork('digest-file', { archivedir }, { name }), {
    limitMs: digestLimitMs,
  });
  return result.kind === 'done' ? /^\d+ \d+/.exec(result.lines.at(-1) ?? '')?.[0] : undefined;
}

async function whyNot({ lane }: CheckedStandby): Promise<string> {
  const { health, reason } = await readLaneState(lane);
  return health === 'ok'
    ? ''
    : `: the standby is ${health}${reason === undefined ? '' : ` (${quoted(reason, 300)})`}`;
}

async function arrived(
  check: ArchiverCheck,
  standby: CheckedStandby,
  switched: Switched,
  startMs: number,
): Promise<Verdict> {
  const { deps } = check;
  const { r_archivedir } = standby.lane.standby;
  const path = `${r_archivedir}/${switched.name}`;
  const here = digestHere(check, switched);
  const target = await sshTargetOf(deps, standby.lane);
  const looked = await deps.withRemoteShell(deps, target, async (shell): Promise<Verdict> => {
    const limitMs = standby.lane.standby.ssh_timeout * 1000;
    const isThere = await within(check, arrivalLimitMs, async () => {
      const { name } = switched;
      const found = await shell.run(archiveWork('has-file', { archivedir: r_archivedir }, { name }), {
        limitMs,
      });
      return found.kind === 'done' && found.status === 0;
    });
    if (!isThere)
      return failure(
        `${switched.name} has not arrived in ${r_archivedir} within ${durationText(arrivalLimitMs / 1000)}${await whyNot(standby)}`,
        `${check.command} --flush sends what is queued and shows each error.`,
      );
    const tookS = (deps.monotonicMs() - startMs) / 1000;
    const [ours, theirs] = await Promise.all([here, digestThere(shell, r_archivedir, switched.name)]);
    const says = `${switched.name} was in ${r_archivedir} ${durationText(tookS)} after the switch`;
    if (ours === undefined || theirs === undefined)
      return unknown(`${says}; its contents could not be compared`);
    if (ours === theirs) return good(`${says}, with the same contents`);
    // By now another segment may have this name here: PostgreSQL recycles them.
    if (ours !== (await digestHere(check, switched)))
      return unknown(`${says}; its contents could not be compared`);
    return failure(
      `${path} there has other contents than here`,
      `Abandon that standby and make a new base backup there: ${check.command} --abandon ${standby.lane.name}`,
    );
  });
  if (looked.kind === 'used') return looked.value;
  return failure(
    `${switched.name} could not be looked for: ${quoted(looked.reason)}${await whyNot(standby)}`,
    'See the check ssh.',
  );
}

async function prove(check: ArchiverCheck, ask: Ask): Promise<readonly Verdict[]> {
  const startMs = check.deps.monotonicMs();
  const switched = await switchSegment(check, ask);
  if ('result' in switched) return [switched];
  const { directory, name } = switched;
  if (!(await within(check, archivedLimitMs, () => isArchived(directory, name))))
    return [
      failure(
        `PostgreSQL has not archived ${name} within ${durationText(archivedLimitMs / 1000)}${await lastFailure(ask)}`,
        "PostgreSQL's log says why archive_command fails.",
      ),
    ];
  const archivedS = (check.deps.monotonicMs() - startMs) / 1000;
  const says = `PostgreSQL archived ${name} in ${durationText(archivedS)}`;
  const here = await archiveAgain(check, switched, says);
  const arrivals = check.standbys.map(async (standby) =>
    of(standby.lane.name, await arrived(check, standby, switched, startMs).catch(verdictOfError)),
  );
  return [here, ...(await Promise.all(arrivals))];
}

function notTried(
  { dryRun, deps }: ArchiverCheck,
  view: ServerView,
  isInRecovery: boolean,
): Verdict | undefined {
  if (dryRun) return skipped('--dry-run leaves it out: it would write a record and end the segment');
  if (view.kind !== 'seen') return dependent('the server could not be asked', 'server');
  if (isInRecovery) return dependent('the server is a standby', 'role');
  return deps.settings.state === 'offline' ? dependent('state is offline', 'archiving') : undefined;
}

export async function checkDelivery(check: ArchiverCheck): Promise<Verdict | readonly Verdict[]> {
  const { deps, iniFile } = check;
  const view = await check.server();
  const cluster = await check.cluster().catch(() => undefined);
  if (cluster === undefined) return dependent('the cluster here is not known', 'pgdata');
  const notDone = notTried(check, view, cluster.isInRecovery);
  if (notDone !== undefined || view.kind !== 'seen') return notDone ?? [];
  const own = await judgeOwnArchiving(view.archiving, { pgdata: deps.settings.pgdata, iniFile });
  if (own.kind === 'wrong') return dependent('PostgreSQL does not archive by this program', 'archiving');
  return prove(check, view.ask);
}
