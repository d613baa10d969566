import { resolve } from 'node:path';
import { requireFor, standbyReader } from './config/load-standby.ts';
import type { StandbyAction, StandbySettings } from './config/options-standby.ts';
import { type ConfigurationFile, readConfiguration } from './config/read-file.ts';
import { messageOf, refusal, unreachable } from './errors.ts';
import { type ProgramContext, refuseRoot, runProgram } from './program.ts';
import { type Action, parseRequest, type Request } from './standby/command-line.ts';
import type { StandbyDeps } from './standby/deps.ts';
import { isRunningRefusal, takeActionLock } from './standby/host/action-lock.ts';
import { exists } from './system/durable.ts';
import { withLocalSql } from './system/local-sql.ts';
import type { Lock } from './system/lock.ts';
import { openLog, textLog } from './system/log.ts';
import { programDeps } from './system/program-deps.ts';

type RunRequest = Extract<Request, { kind: 'run' }>;

function readSettings({ iniFile, action }: RunRequest): Promise<ConfigurationFile<StandbySettings>> {
  return readConfiguration(iniFile, {
    ...standbyReader,
    findMissing: (config) => requireFor(config, configAction(action)),
  });
}

/** The action's name in the option table. */
function configAction({ kind }: Action): StandbyAction {
  if (kind === 'wal') return 'cleanup';
  if (kind === 'verify') return 'base-backup';
  // A key that -S needs is missed here already.
  if (kind === 'check' || kind === 'doctor') return 'start-standby';
  if (kind === 'restore-state' || kind === 'backup-info' || kind === 'history') return 'ping';
  if (kind === 'restartpoint' || kind === 'status' || kind === 'serve' || kind === 'serve-key') return 'ping';
  if (kind === 'follow' || kind === 'rejoin') return 'start-standby';
  if (kind === 'patroni-replica') return 'base-backup';
  if (kind === 'patroni-pre-promote') return 'ping';
  return kind === 'recover' || kind === 'switchover' ? 'failover' : kind;
}

/** Actions that change nothing, or nothing that could disturb another action. */
const needsNoLock: readonly Action['kind'][] = [
  'check',
  'doctor',
  'ping',
  'wal',
  'restore-state',
  'backup-info',
  'status',
  'history',
  // It may take hours: a failover must not wait for it. It gives up when another action runs.
  'drill',
  // The server must not wait for another action, nor must the cluster that has no leader.
  'restartpoint',
  'patroni-pre-promote',
  // A verb that changes something excludes others by itself.
  'serve',
  'serve-key',
];
/** Actions that must continue even if archivedir cannot be written: a full disk must not prevent a failover. */
const goesOnWithoutLock: readonly Action['kind'][] = ['failover', 'recover', 'start', 'stop'];

async function lockFor(deps: StandbyDeps, { action, dryRun }: RunRequest): Promise<Lock | undefined> {
  const { archivedir } = deps.settings;
  if (dryRun || needsNoLock.includes(action.kind) || !(await exists(archivedir))) return undefined;
  let lock: Lock | undefined;
  try {
    lock = await takeActionLock(deps);
  } catch (error) {
    if (!goesOnWithoutLock.includes(action.kind)) throw error;
    deps.log.warning(`continuing without a lock: ${messageOf(error)}`);
    return undefined;
  }
  if (lock !== undefined) return lock;
  throw isRunningRefusal(deps);
}

/** Patroni would start a primary again that it did not stop itself. */
function refuseBesidePatroni({ settings }: StandbyDeps): void {
  if (settings.patroni_url === undefined) return;
  throw refusal('Patroni runs the primary (patroni_url): --switchover would stop it behind its back', {
    hint: 'Between the members: patronictl switchover. To leave Patroni: see doc/patroni.md.',
  });
}

/** These do not ask the primary, or must not wait for anybody. */
const needsNoLeader: readonly Action['kind'][] = [
  'patroni-replica',
  'patroni-pre-promote',
  'start',
  'stop',
  'cleanup',
  'wal',
  'backup-info',
  'history',
  'restore-state',
  'restartpoint',
  'serve',
  'serve-key',
];

/** Patroni answers at once; one that does not must not delay a failover. */
const leaderMs = 2_000;

/** Where Patroni runs the primary, its leader is the primary, whatever the INI file says. */
async function withLeader(deps: StandbyDeps, { action }: RunRequest): Promise<StandbyDeps> {
  const { settings, log } = deps;
  const { patroni_url: urls, master_public_ip } = settings;
  if (urls === undefined || needsNoLeader.includes(action.kind)) return deps;
  const { findLeader } = await import('./system/patroni.ts');
  const leader = await findLeader(urls, leaderMs);
  if (leader.kind === 'unknown') {
    log.warning(`no Patroni says who leads; the primary is taken to be ${master_public_ip}`, {
      detail: leader.reason,
    });
    return deps;
  }
  log.debug(`Patroni's leader is ${leader.host}, port ${leader.port}`);
  return { ...deps, settings: { ...settings, master_public_ip: leader.host, port: leader.port } };
}

/** Each action is loaded only when it is requested. */
async function perform(deps: StandbyDeps, request: RunRequest): Promise<number> {
  const { action, ...options } = request;
  switch (action.kind) {
    case 'check':
      return (await import('./standby/actions/check.ts')).checkConfiguration(deps);
    case 'doctor': {
      const { checkAll } = await import('./standby/actions/doctor.ts');
      const { switchover } = await import('./standby/actions/failover/switchover/switchover.ts');
      return checkAll(deps, action.names, options, (quiet) =>
        switchover(quiet, { ...options, dryRun: true }),
      );
    }
    case 'init':
      return (await import('./standby/actions/init.ts')).initStandby(deps, options);
    case 'ping':
      return (await import('./standby/actions/ping-master.ts')).pingMaster(deps, options);
    case 'base-backup':
      return (await import('./standby/actions/base-backup/base-backup.ts')).baseBackup(deps, options);
    case 'verify':
      return (await import('./standby/actions/verify.ts')).verifyBackup(deps, options);
    case 'backup-info':
      return (await import('./standby/actions/backup-info.ts')).showBackup(deps, options);
    case 'status': {
      const { reportStatus } = await import('./standby/actions/status.ts');
      const { failoverNow } = await import('./standby/actions/failover/now.ts');
      return reportStatus(deps, action, failoverNow);
    }
    case 'history':
      return (await import('./standby/actions/history.ts')).showHistory(deps, options);
    case 'start-standby':
      return (await import('./standby/actions/start-standby.ts')).startStandby(deps, options);
    case 'failover':
      return (await import('./standby/actions/failover/failover.ts')).failover(deps, options);
    case 'recover':
      return (await import('./standby/actions/failover/point-in-time.ts')).recoverTo(
        deps,
        options,
        action.target,
      );
    case 'drill': {
      const { drill } = await import('./standby/actions/failover/drill/drill.ts');
      return drill(
        deps,
        { ...options, ...action },
        async () => (await import('./standby/actions/base-backup/for-drill.ts')).newBackups,
      );
    }
    case 'switchover':
      refuseBesidePatroni(deps);
      return (await import('./standby/actions/failover/switchover/switchover.ts')).switchover(deps, options);
    case 'patroni-replica': {
      const { patroniReplica } = await import('./standby/actions/patroni-replica.ts');
      const { initStandby } = await import('./standby/actions/init.ts');
      const { baseBackup } = await import('./standby/actions/base-backup/base-backup.ts');
      return patroniReplica(deps, action.call, options, { initStandby, baseBackup });
    }
    case 'patroni-pre-promote':
      return (await import('./standby/actions/patroni-pre-promote.ts')).prePromote(deps);
    case 'follow':
      return (await import('./standby/actions/follow.ts')).follow(deps, options, action.address);
    case 'rejoin': {
      const { rejoinPrimary } = await import('./standby/actions/rejoin.ts');
      return rejoinPrimary(deps, options, action.address, async () => {
        const { baseBackup } = await import('./standby/actions/base-backup/base-backup.ts');
        const { startStandby } = await import('./standby/actions/start-standby.ts');
        return { baseBackup, startStandby };
      });
    }
    case 'start':
      return (await import('./standby/actions/start-stop.ts')).startServer(deps, options);
    case 'stop':
      return (await import('./standby/actions/start-stop.ts')).stopServer(deps, options);
    case 'start-basebackup':
      return (await import('./standby/actions/manual-backup.ts')).startBaseBackup(deps, options);
    case 'stop-basebackup':
      return (await import('./standby/actions/manual-backup.ts')).stopBaseBackup(deps, options);
    case 'cleanup':
      return (await import('./standby/actions/cleanup.ts')).cleanUpArchive(deps, options);
    case 'wal':
      return (await import('./standby/actions/wal-listing.ts')).listWal(deps);
    case 'restore-state':
      return (await import('./standby/actions/restore-state.ts')).tellRestoreState(deps, action.trouble);
    case 'restartpoint':
      return (await import('./standby/actions/restartpoint.ts')).atRestartpoint(deps, action.needed);
    case 'serve':
      return (await import('./standby/actions/serve.ts')).serveVerb(deps, action.call);
    case 'serve-key':
      return (await import('./standby/actions/serve.ts')).serveRestricted(deps, action.roles);
    default:
      return unreachable(action);
  }
}

/** A file's mode is no reason to refuse a failover. */
const refusesOpenIni: readonly Action['kind'][] = ['init', 'base-backup', 'patroni-replica'];
const mentionsOpenIni: readonly Action['kind'][] = ['start-standby', 'failover', 'recover', 'switchover'];

async function judgeIniFile({ settings, iniFile, log }: StandbyDeps, { action }: RunRequest): Promise<void> {
  const isRefusal = refusesOpenIni.includes(action.kind);
  if (!isRefusal && !mentionsOpenIni.includes(action.kind)) return;
  const { findOpenIni } = await import('./system/file-modes.ts');
  const problem = await findOpenIni(iniFile, settings.repl_db_password !== undefined);
  if (problem === undefined) return;
  if (isRefusal) throw problem;
  log.warning(`${problem.message}: ${problem.hint ?? ''}`);
}

async function main(context: ProgramContext): Promise<number> {
  const { argv, signal } = context;
  const request = parseRequest(argv);
  if (request.kind === 'show') {
    process.stdout.write(request.text);
    return 0;
  }
  if (request.kind === 'setup')
    return (await import('./setup/action.ts')).setUpHere(context, request.request);
  refuseRoot();
  if (request.action.kind === 'serve-key' && !(await exists(request.iniFile))) {
    const { serveUnset } = await import('./verbs/serve-unset.ts');
    const deps = programDeps(textLog({ debug: false }), signal);
    return serveUnset(deps, 'cmd_standby', request.iniFile, request.action.roles);
  }
  const { settings, warnings } = await readSettings(request);
  const log = await openLog({ format: settings.log_format, debug: settings.debug, program: 'cmd_standby' });
  context.useLog(log);
  for (const line of warnings) log.warning(line);
  const iniFile = resolve(request.iniFile);
  const deps = { ...programDeps(log, signal), settings, iniFile, withLocalSql, lockFd: undefined };
  await judgeIniFile(deps, request);
  const lock = await lockFor(deps, request);
  try {
    return await perform(await withLeader({ ...deps, lockFd: lock?.fd }, request), request);
  } finally {
    await lock?.release();
  }
}

await runProgram(main, process.argv.slice(2));
