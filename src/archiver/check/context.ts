import { userInfo } from 'node:os';
import { once } from '../../check/check.ts';
import type { ArchiverDeps } from '../deps.ts';
import { type Lane, lanesOf } from '../lane/lane.ts';
import { type Cluster, readPinnedCluster } from '../wal/cluster.ts';
import { type ServerView, viewServer } from '../wal/server-view.ts';
import { type Surveyed, surveyStandby } from './survey.ts';

/** A standby, and what one connection to it has shown. */
export interface CheckedStandby {
  readonly lane: Lane;
  readonly survey: () => Promise<Surveyed>;
}

/** Everything that several checks ask; it is asked once. */
export interface ArchiverCheck {
  readonly deps: ArchiverDeps;
  /** Absolute. */
  readonly iniFile: string;
  readonly dryRun: boolean;
  /** `cmd_archiver -C FILE`, to be typed. */
  readonly command: string;
  /** The system user who runs this. */
  readonly me: string;
  readonly cluster: () => Promise<Cluster>;
  readonly server: () => Promise<ServerView>;
  readonly standbys: readonly CheckedStandby[];
}

export function archiverCheck(
  deps: ArchiverDeps,
  given: Pick<ArchiverCheck, 'iniFile' | 'dryRun' | 'command'>,
): ArchiverCheck {
  const cluster = once(() => readPinnedCluster(deps));
  return {
    ...given,
    deps,
    me: userInfo().username,
    cluster,
    server: once(() => viewServer(deps)),
    standbys: lanesOf(deps).map((lane) => ({
      lane,
      survey: once(async () => surveyStandby(deps, lane, await cluster().catch(() => undefined))),
    })),
  };
}
