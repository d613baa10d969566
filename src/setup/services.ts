/** The services and timers of systemd, or the lines for cron. */
import { join } from 'node:path';
import { exitCodes } from '../errors.ts';
import { describeResult, succeeded } from '../system/command.ts';
import { exists } from '../system/durable.ts';
import type { ProgramDeps } from '../system/program-deps.ts';
import { callersOf, readScheduled } from '../system/units.ts';
import { chooseCluster, findClusters, type FoundCluster } from './cluster.ts';
import { typedWord } from './commands.ts';
import type { SetupFacts } from './facts.ts';
import type { SetupRequest, SetupRole } from './request.ts';

interface Task {
  readonly program: 'cmd_archiver' | 'cmd_standby';
  readonly flag: RegExp;
  readonly unit: string;
  readonly purpose: string;
  /** When cron starts it, and what it starts; a service that runs all the time has none. */
  readonly cron: { readonly when: string; readonly args: string } | undefined;
}

const tasks: Readonly<Record<SetupRole, readonly Task[]>> = {
  primary: [
    {
      program: 'cmd_archiver',
      flag: /\s--ship\b/,
      unit: 'pitrtools-shipper.service',
      purpose: 'sends WAL also while PostgreSQL is stopped; without it, archive_command starts a shipper',
      cron: undefined,
    },
  ],
  standby: [
    {
      program: 'cmd_standby',
      flag: /\s--cleanup\b/,
      unit: 'pitrtools-cleanup.timer',
      purpose: 'removes archived WAL that nothing needs any more',
      cron: { when: '17 * * * *', args: '--cleanup' },
    },
    {
      program: 'cmd_standby',
      flag: /\s(-P|--ping)\b/,
      unit: 'pitrtools-ping.timer',
      purpose: 'checks whether the primary is alive',
      cron: { when: '* * * * *', args: '-P' },
    },
  ],
};

const unitFolders = [
  '/etc/systemd/system',
  '/usr/local/lib/systemd/system',
  '/usr/lib/systemd/system',
  '/lib/systemd/system',
];

async function isInstalled(unit: string, root: string): Promise<boolean> {
  for (const folder of unitFolders) if (await exists(join(root, folder, unit))) return true;
  return false;
}

/**
 * The unit to enable; undefined if there is none. The package has the shipper's unit as a template, whose instance is the
 * cluster's name in Debian: pitrtools-shipper@15-main.service.
 */
async function installedUnit(
  unit: string,
  findCluster: () => Promise<FoundCluster | undefined>,
  root = '/',
): Promise<string | undefined> {
  if (await isInstalled(unit, root)) return unit;
  const template = unit.replace('.', '@.');
  if (!(await isInstalled(template, root))) return undefined;
  const instance = (await findCluster())?.debianName?.replace('/', '-');
  return instance === undefined ? undefined : template.replace('@', `@${instance}`);
}

/** Shows how to have what should run from time to time; none of it is needed to finish. */
export async function sayServices(deps: ProgramDeps, facts: SetupFacts): Promise<void> {
  const { report } = deps;
  const { request, programs, places, hasSystemd } = facts;
  const scheduled = await readScheduled(deps.run);
  const missing = tasks[request.role].filter(
    ({ program, flag }) => callersOf(scheduled, program, flag).length === 0,
  );
  const wanted: Task[] = [];
  for (const task of missing) {
    const unit = hasSystemd
      ? await installedUnit(task.unit, () => Promise.resolve(facts.cluster))
      : undefined;
    if (unit === undefined) continue;
    wanted.push(task);
    report(`also, as root: systemctl enable --now ${unit}      # ${task.purpose}`);
  }
  const iniFile = request.role === 'primary' ? places.archiverIni : places.standbyIni;
  for (const task of missing.filter((one) => !wanted.includes(one) && one.cron !== undefined)) {
    const call = `${typedWord(programs[task.program].path)} -C ${typedWord(iniFile)}`;
    report(`also, in cron: ${task.cron?.when ?? ''} ${call} ${task.cron?.args ?? ''}      # ${task.purpose}`);
  }
}

/** `--setup --systemd`, as root: enables and starts what the package has installed. `root`: of another file system. */
export async function enableServices(deps: ProgramDeps, request: SetupRequest, root = '/'): Promise<number> {
  const { report, run } = deps;
  const { role, dryRun: isDryRun } = request;
  const command = `${role === 'primary' ? 'cmd_archiver' : 'cmd_standby'} --setup --systemd`;
  const findCluster = async () => {
    const found = await findClusters();
    return chooseCluster({ found, wanted: request.cluster, me: undefined, command });
  };
  let code: number = 0;
  for (const { unit: named, purpose } of tasks[role]) {
    const unit = await installedUnit(named, findCluster, root);
    if (unit === undefined) {
      report(`not installed: ${named}, which ${purpose} (doc/install.md)`);
      // A unit that failed counts more.
      if (code === 0) code = exitCodes.unfinished;
      continue;
    }
    report(`systemctl enable --now ${unit}      # ${purpose}`);
    if (isDryRun) continue;
    const result = await run({ program: 'systemctl', args: ['enable', '--now', unit] }, { limitMs: 60_000 });
    if (succeeded(result)) continue;
    deps.log.error(`cannot enable ${unit}`, { detail: describeResult(result) });
    code = exitCodes.failure;
  }
  if (isDryRun) report('Dry run: nothing was changed.');
  return code;
}
