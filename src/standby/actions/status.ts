import { join } from 'node:path';
import type { StatusRequest } from '../../status/arguments.ts';
import { bySeverity } from '../../status/finding.ts';
import type { StatusReport } from '../../status/report.ts';
import { showStatus } from '../../status/show.ts';
import { programRoot, programVersion } from '../../system/program-root.ts';
import type { StandbyDeps } from '../deps.ts';
import { secondsOf } from '../server/replay-delay.ts';
import { judgeStandby } from '../status/judge.ts';
import { observeStandby } from '../status/observe.ts';
import type { AskFailover } from '../status/others.ts';
import { metricsOf, sectionsOf } from '../status/show.ts';
import { statusDeps } from '../status/view.ts';

async function observe(
  deps: StandbyDeps,
  request: StatusRequest,
  askFailover: AskFailover,
): Promise<StatusReport> {
  const { settings, iniFile } = deps;
  const command = `${join(programRoot(), 'bin', 'cmd_standby')} -C ${iniFile}`;
  const facts = await observeStandby(statusDeps(deps), askFailover, command);
  const context = {
    limits: { ...settings, ...request.limits },
    command,
    pgdata: settings.pgdata,
    wantsStream: settings.use_streaming_replication,
    wantedDelayS: secondsOf(settings.recovery_min_apply_delay ?? '0'),
  };
  return {
    program: 'cmd_standby',
    programVersion: programVersion(),
    host: deps.hostName,
    atMs: deps.now(),
    findings: bySeverity(judgeStandby(facts, context)),
    facts: { ...facts },
    sections: sectionsOf(facts),
    metrics: metricsOf(facts),
  };
}

/**
 * `--status`: changes nothing but the samples from which the next call computes rates.
 *
 * @param askFailover the judgement of -F999, so that the two never disagree
 */
export async function reportStatus(
  deps: StandbyDeps,
  request: StatusRequest,
  askFailover: AskFailover,
): Promise<number> {
  return showStatus(deps, () => observe(deps, request, askFailover), request.form);
}
