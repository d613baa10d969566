/** The checks of cmd_archiver --check that ask this host's server. */
import { readFile, realpath } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { durationText } from '../../amounts.ts';
import { dependent, failure, good, skipped, unknown, type Verdict } from '../../check/check.ts';
import { untestedRelease } from '../../postgres/capabilities.ts';
import { findVersion } from '../../postgres/version.ts';
import { NotKnown } from '../../status/fact.ts';
import { readPostmaster } from '../../system/postmaster.ts';
import { quoted } from '../../system/printable.ts';
import { callersOf, readUnit, type Scheduled, unitIn } from '../../system/units.ts';
import { judgeOwnArchiving } from '../wal/own-archive-command.ts';
import { type Ask, describeStatistics, type ServerView } from '../wal/server-view.ts';
import type { ArchiverCheck } from './context.ts';
import { otherServers } from './local.ts';

const notReached = dependent('the server could not be asked', 'server');

/** Why psql could not log in, with the line or setting that lets it in. Pure. */
export function judgeLogin(reason: string, psql: string, me: string): Verdict {
  const says = `the server runs, but does not let us in by ${psql}: ${quoted(reason)}`;
  if (/there is no program/.test(reason))
    return failure(`the server cannot be asked: ${quoted(reason)}`, 'Set psql: to the path of psql here.');
  if (/role ".*" does not exist/.test(reason))
    return failure(
      says,
      `Create the role (createuser ${me}), or set PGUSER in psql:'s environment; it need not be a superuser.`,
    );
  if (/pg_hba\.conf|authentication|password/i.test(reason))
    return failure(
      says,
      `Let ${me} in without a password prompt: in pg_hba.conf "local all ${me} peer", then reload; or a line in ~/.pgpass.`,
    );
  if (/No such file or directory|Connection refused|could not connect/.test(reason))
    return failure(
      says,
      'Set port: in the INI file, if the server does not listen where its postmaster.pid says.',
    );
  return failure(says, 'This must work by hand, without a prompt.');
}

async function valueOf(ask: Ask, sql: string): Promise<string> {
  const answer = await ask(sql);
  if (answer.kind === 'rows') return answer.rows[0]?.[0] ?? '';
  throw new NotKnown(answer.reason);
}

/** The verdict of `use` on a server that answers. */
async function asking(
  check: ArchiverCheck,
  use: (seen: Extract<ServerView, { kind: 'seen' }>) => Promise<Verdict>,
): Promise<Verdict> {
  const view = await check.server();
  return view.kind === 'seen' ? use(view) : notReached;
}

function remarkOn(text: string): string | undefined {
  const version = findVersion(text);
  const untested = version === undefined ? undefined : untestedRelease({ version });
  return untested === undefined ? undefined : `${untested}.`;
}

/** The server that answers must be the one of pgdata: another one may listen on the same port of another socket. */
async function judgeDirectory(ask: Ask, pgdata: string): Promise<Verdict> {
  const version = await valueOf(ask, "SELECT current_setting('server_version')");
  const answer = await ask("SELECT current_setting('data_directory')");
  const says = `PostgreSQL ${quoted(version, 50)} answers`;
  if (answer.kind === 'none')
    return unknown(
      `${says}, but not whether its data directory is ${pgdata}: ${quoted(answer.reason, 200)}`,
      'GRANT pg_read_all_settings to the role that asks (from PostgreSQL 10).',
    );
  const theirs = answer.rows[0]?.[0] ?? '';
  const [real, ours] = await Promise.all([theirs, pgdata].map((path) => realpath(path).catch(() => path)));
  if (real === ours) return good(`${says}, and its data directory is ${pgdata}`, remarkOn(version));
  return failure(
    `the server that answers runs in "${quoted(theirs, 300)}", not in pgdata "${pgdata}"`,
    'Set port: and pgdata: to those of the same server.',
  );
}

export async function checkServer(check: ArchiverCheck): Promise<Verdict> {
  const { settings } = check.deps;
  const view = await check.server();
  switch (view.kind) {
    case 'not-running':
      return failure(
        `no server runs in pgdata "${settings.pgdata}"`,
        (await otherServers()) ?? 'Start it; without it, its archiving cannot be checked.',
      );
    case 'unknown':
      return judgeLogin(view.reason, settings.psql.program, check.me);
    case 'seen':
      return judgeDirectory(view.ask, settings.pgdata);
  }
}

/** A server that replays another one's WAL archives nothing, unless archive_mode is always. */
export async function checkRole(check: ArchiverCheck): Promise<Verdict> {
  const { pgdata } = check.deps.settings;
  const { isInRecovery } = await check.cluster();
  if (!isInRecovery) return good(`${pgdata} is a primary`);
  return unknown(
    `the server in ${pgdata} is a standby: it archives nothing, so that its archiving cannot be tried`,
    'Run cmd_archiver --check on the primary. Here it shows only whether this host could ship after a promotion.',
  );
}

export function checkArchiving(check: ArchiverCheck): Promise<Verdict> {
  const { deps, iniFile, command } = check;
  return asking(check, async ({ archiving, statistics }) => {
    const verdict = await judgeOwnArchiving(archiving, { pgdata: deps.settings.pgdata, iniFile });
    const hint = `In postgresql.conf: archive_mode = on, archive_command = '${command} -F %p'; then reload (archive_mode: restart).`;
    if (deps.settings.state === 'offline')
      return failure(
        'state is offline in the INI file: nothing is archived, and pg_wal grows',
        'Set state: online.',
      );
    if (verdict.kind === 'wrong') return failure(verdict.reason, hint);
    if (verdict.kind === 'unknown') return unknown(verdict.reason, hint);
    const said = statistics === undefined ? '' : `; ${describeStatistics(statistics)}`;
    return good(`archive_command runs this program with this INI file${said}`);
  });
}

export function checkTimeout(check: ArchiverCheck): Promise<Verdict> {
  return asking(check, async ({ ask }) => {
    const seconds = Number(
      await valueOf(ask, "SELECT setting FROM pg_settings WHERE name = 'archive_timeout'"),
    );
    if (seconds > 0)
      return good(
        `archive_timeout is ${durationText(seconds)}: a standby without streaming is at most that far behind`,
      );
    return good(
      'archive_timeout is 0: a segment is archived only once it is full',
      'For a standby that does not stream, set it in postgresql.conf, for example to 5min.',
    );
  });
}

/** As systemd reads it: drop-ins come after the unit, in the order of their names, and the last setting counts. */
function restartIn(files: readonly Scheduled[]): string {
  const isDropIn = ({ path }: Scheduled): boolean => dirname(path).endsWith('.d');
  const [unit] = files.filter((file) => !isDropIn(file));
  const dropIns = files.filter(isDropIn).sort((a, b) => (basename(a.path) < basename(b.path) ? -1 : 1));
  const text = [...(unit === undefined ? [] : [unit]), ...dropIns].map((file) => file.text).join('\n');
  return [...text.matchAll(/^[ \t]*Restart[ \t]*=[ \t]*(\S+)/gm)].at(-1)?.[1] ?? 'no';
}

/** @param files the unit with its drop-ins. Pure. */
export function judgeUnit(unit: string, hasMayStart: boolean, files: readonly Scheduled[]): Verdict {
  const restart = restartIn(files);
  const says = `systemd runs the server as ${unit} (Restart=${quoted(restart, 30)})`;
  if (hasMayStart) return good(`${says}, and asks --may-start before each start`);
  return good(
    `${says}, and does not ask --may-start`,
    `After a failover it would start an old primary again: copy etc/postgresql-may-start.conf to /etc/systemd/system/${unit}.d (doc/failover.md).`,
  );
}

export async function checkRestart({ deps: { settings } }: ArchiverCheck): Promise<Verdict> {
  const postmaster = await readPostmaster(settings.pgdata);
  if (postmaster.kind !== 'running') return skipped('the server does not run, or its process is not seen');
  const unit = unitIn(await readFile(`/proc/${postmaster.pid}/cgroup`, 'utf8').catch(() => ''));
  if (unit === undefined) return skipped('no unit of systemd runs the server');
  const files = await readUnit(unit);
  if (files.length === 0) return unknown(`the files of ${unit} cannot be read`);
  const callers = callersOf(files, 'cmd_archiver', /--may-start\b/);
  return judgeUnit(unit, callers.length > 0, files);
}
