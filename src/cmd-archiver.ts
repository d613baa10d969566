import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ReadConfiguration } from './archiver/actions/ship.ts';
import type { Request } from './archiver/command-line.ts';
import type { ArchiverDeps } from './archiver/deps.ts';
import { layoutOf } from './archiver/layout.ts';
import type { ShipperAccess } from './archiver/markers/ask.ts';
import { parseSegmentCall } from './archiver/segment-call.ts';
import { identityOf } from './archiver/wal/wal-file.ts';
import { archiverReader } from './config/load-archiver.ts';
import type { ArchiverSettings } from './config/options-archiver.ts';
import { readConfiguration } from './config/read-file.ts';
import { unreachable } from './errors.ts';
import { type ProgramContext, refuseRoot, runProgram } from './program.ts';
import { systemClock } from './system/clock.ts';
import { endAllCommands } from './system/command.ts';
import { callersDirectory } from './system/environment.ts';
import { type Log, logFailure, openLog, textLog, timeStamp } from './system/log.ts';
import { programDeps } from './system/program-deps.ts';

const readSettings = (file: string) => readConfiguration(file, archiverReader);

function composeDeps(
  { signal }: ProgramContext,
  iniFile: string,
  settings: ArchiverSettings,
  log: Log,
): ArchiverDeps {
  // Ends running commands at once: their callers then treat half-finished work as not done.
  signal.addEventListener('abort', () => {
    endAllCommands('SIGTERM');
  });
  return {
    ...programDeps(log, signal),
    settings,
    layout: layoutOf(settings.l_archivedir),
    iniFile: resolve(iniFile),
    pid: process.pid,
    workingDirectory: callersDirectory(),
  };
}

/** A service's log is read days later: unless the journal adds the time, each message does. */
async function openOwnLog(settings: ArchiverSettings, isService: boolean): Promise<Log> {
  const { now } = systemClock();
  const isStamped = isService && process.env['JOURNAL_STREAM'] === undefined;
  return openLog({
    format: settings.log_format,
    debug: settings.debug,
    program: 'cmd_archiver',
    stamp: isStamped ? () => timeStamp(now()) : undefined,
  });
}

/** The parts that a running shipper renews each time the INI file changes; the file is checked before it is read. */
function rereader(file: string): ReadConfiguration {
  return async () => {
    const identity = { path: file, identity: await identityOf(file) };
    const { settings, warnings } = await readSettings(file);
    const log = await openOwnLog(settings, true);
    for (const line of warnings) log.warning(line);
    return { identity, settings, log };
  };
}

/** A shipper that archive_command starts runs on its own, and writes to its log. */
function shipperAccess(file: string): ShipperAccess {
  const configFile = resolve(file);
  return {
    configFile,
    startShipper: async (log) => {
      const { startDetached } = await import('./system/detached.ts');
      // With the launcher's options: without them, short-lived garbage would pile up to 50 MB.
      const program = fileURLToPath(import.meta.url);
      const args = ['--max-semi-space-size=2', '--optimize-for-size', program, '-C', configFile, '--ship'];
      return startDetached({ program: process.execPath, args }, log);
    },
  };
}

type ActionRequest = Exclude<Request, { kind: 'show' | 'setup' }>;

async function requireClosedIni(file: string): Promise<void> {
  const { findOpenIni } = await import('./system/file-modes.ts');
  const problem = await findOpenIni(file, false);
  if (problem !== undefined) throw problem;
}

/** Each action's code is loaded only when it is requested: -F runs once per segment. */
async function perform(deps: ArchiverDeps, request: ActionRequest): Promise<number> {
  switch (request.kind) {
    case 'archive':
      await (
        await import('./archiver/actions/archive.ts')
      ).archiveFile(deps, request.path, shipperAccess(request.iniFile));
      return 0;
    case 'initialize':
      await requireClosedIni(request.iniFile);
      await (await import('./archiver/actions/init.ts')).initialize(deps, request.plant);
      return 0;
    case 'ship': {
      const { beginShipper } = await import('./archiver/shipper/early.ts');
      const beginning = await beginShipper(deps);
      // Meanwhile, ssh shakes hands.
      const { shipContinuously } = await import('./archiver/actions/ship.ts');
      await shipContinuously(deps, beginning, rereader(resolve(request.iniFile)));
      return 0;
    }
    case 'may-start':
      return (await import('./archiver/actions/may-start/may-start.ts')).mayStart(deps);
    case 'patroni-callback': {
      const { onPatroniEvent } = await import('./archiver/actions/patroni-callback.ts');
      return onPatroniEvent(deps, request.event, shipperAccess(request.iniFile));
    }
    case 'serve':
      return (await import('./archiver/actions/serve.ts')).serveRestricted(deps, request.roles);
    case 'status':
      return (await import('./archiver/actions/status.ts')).reportStatus(deps, request.iniFile, request);
    case 'ledger':
      return (await import('./archiver/actions/ledger.ts')).showLedger(deps, request);
    case 'doctor':
      return (await import('./archiver/actions/doctor.ts')).checkAll(deps, request.iniFile, request);
    case 'audit':
      return (await import('./archiver/actions/audit.ts')).audit(deps, request);
    case 'history':
      return (await import('./archiver/actions/history.ts')).showHistory(deps, request);
    case 'flush':
      return (await import('./archiver/actions/flush.ts')).flush(deps, request);
    case 'cleanup':
      await (await import('./archiver/actions/cleanup.ts')).cleanUp(deps, request);
      return 0;
    case 'abandon':
      await (await import('./archiver/actions/abandon.ts')).abandonStandby(deps, request.standby, request);
      return 0;
    case 'resume':
      await (await import('./archiver/actions/abandon.ts')).resumeStandby(deps, request.standby, request);
      return 0;
    case 'timeline-restored':
      return (await import('./archiver/actions/timeline-restored.ts')).restoreTimeline(
        deps,
        request.timeline,
        request,
      );
    case 'check':
      await (
        await import('./archiver/actions/check.ts')
      ).checkConfiguration(deps, request.iniFile, () => requireClosedIni(request.iniFile));
      return 0;
    default:
      return unreachable(request);
  }
}

/** commander is loaded only where it is needed: -F runs once per segment. */
const loadParser = async () => (await import('./archiver/command-line.ts')).parseRequest;

async function main(context: ProgramContext): Promise<number> {
  const request = parseSegmentCall(context.argv) ?? (await loadParser())(context.argv);
  if (request.kind === 'show') {
    process.stdout.write(request.text);
    return 0;
  }
  if (request.kind === 'setup')
    return (await import('./setup/action.ts')).setUpHere(context, request.request);
  return request.kind === 'may-start'
    ? inDoubtAllow(context, () => act(context, request))
    : act(context, request);
}

/**
 * A fault of ours (an INI file with a mistake, a bug) must not keep a primary from starting: without PostgreSQL's service
 * asking us it would start, too. Only the action itself refuses.
 */
async function inDoubtAllow({ signal }: ProgramContext, use: () => Promise<number>): Promise<number> {
  try {
    return await use();
  } catch (error) {
    if (signal.aborted) throw error;
    const log = textLog({ debug: false });
    logFailure(log, error);
    log.error('whether PostgreSQL may start here could not be determined: it is allowed');
    return 0;
  }
}

async function act(context: ProgramContext, request: ActionRequest): Promise<number> {
  refuseRoot();
  if (request.kind === 'serve' && !existsSync(request.iniFile)) {
    const { serveUnset } = await import('./verbs/serve-unset.ts');
    const deps = programDeps(textLog({ debug: false }), context.signal);
    return serveUnset(deps, 'cmd_archiver', request.iniFile, request.roles);
  }
  const { settings, warnings } = await readSettings(request.iniFile);
  const log = await openOwnLog(settings, request.kind === 'ship');
  context.useLog(log);
  // A message per segment would fill PostgreSQL's log. The standard error of a restricted key's session is read by its client.
  if (!['archive', 'ship', 'serve'].includes(request.kind)) for (const line of warnings) log.warning(line);
  return perform(composeDeps(context, request.iniFile, settings, log), request);
}

await runProgram(main, process.argv.slice(2));
