import { join, resolve } from 'node:path';
import type { StatusRequest } from '../../status/arguments.ts';
import { withinView } from '../../status/fact.ts';
import { bySeverity } from '../../status/finding.ts';
import type { StatusReport } from '../../status/report.ts';
import { showStatus } from '../../status/show.ts';
import { programRoot, programVersion } from '../../system/program-root.ts';
import type { ArchiverDeps } from '../deps.ts';
import { observeArchiver } from '../status/facts.ts';
import { judgeArchiver } from '../status/judge.ts';
import { metricsOf, sectionsOf } from '../status/show.ts';

/** `isLive`: the standbys are asked as well. */
interface ArchiverStatusRequest extends StatusRequest {
  readonly isLive: boolean;
}

async function observe(
  deps: ArchiverDeps,
  iniFile: string,
  request: ArchiverStatusRequest,
): Promise<StatusReport> {
  const facts = await observeArchiver(withinView(deps), iniFile, request.isLive);
  const context = {
    limits: { ...deps.settings, ...request.limits },
    command: `${join(programRoot(), 'bin', 'cmd_archiver')} -C ${iniFile}`,
    pgdata: deps.settings.pgdata,
  };
  return {
    program: 'cmd_archiver',
    programVersion: programVersion(),
    host: deps.hostName,
    atMs: deps.now(),
    findings: bySeverity(judgeArchiver(facts, context)),
    facts: { ...facts },
    sections: sectionsOf(facts),
    metrics: metricsOf(facts),
  };
}

/** `--status`: changes nothing but the samples from which the next call computes rates. */
export async function reportStatus(
  deps: ArchiverDeps,
  iniFile: string,
  request: ArchiverStatusRequest,
): Promise<number> {
  return showStatus(deps, () => observe(deps, resolve(iniFile), request), request.form);
}
