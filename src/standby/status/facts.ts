/** The facts of cmd_standby --status. */
import type { DiskFacts } from '../../status/disks.ts';
import type { Fact } from '../../status/fact.ts';
import type { ClockOffset } from '../../system/remote-clock.ts';
import type { ArchiveState } from './archive.ts';
import type { BackupFacts } from './backup.ts';
import type { DrillFacts } from './drill.ts';
import type { LossFacts } from './loss.ts';
import type { Mode } from './mode.ts';
import type { FailoverNow, OtherStandby, PrimaryFacts } from './others.ts';
import type { RecoveryFacts } from './server.ts';
import type { Unfinished } from './unfinished.ts';

export interface ClusterFacts {
  readonly systemIdentifier: string;
  /** The last one that pg_control proves. */
  readonly timeline: number;
}

/** WAL that is here and was not replayed yet. */
export interface Lag {
  readonly bytes: number;
  /** Undefined if nothing shows since when. */
  readonly seconds: number | undefined;
}

export interface FailoverFacts {
  /** But for a primary that is alive, which must be stopped first. */
  readonly isPossible: boolean;
  readonly objections: readonly {
    readonly name: string | undefined;
    readonly message: string;
    readonly hint: string | undefined;
  }[];
  /** Segments that it would bring from other standbys. */
  readonly fetches: number;
  /** The standby with the most WAL, and its end; `this host` if none is known to have more. */
  readonly mostAdvanced: { readonly name: string; readonly lsn: bigint } | undefined;
}

export interface StandbyFacts extends RecoveryFacts {
  readonly mode: Fact<Mode>;
  readonly version: Fact<string>;
  readonly cluster: Fact<ClusterFacts>;
  readonly archiveLag: Fact<Lag>;
  /** Undefined if nothing was streamed since the server was started. */
  readonly streamLag: Fact<Lag | undefined>;
  readonly archive: Fact<ArchiveState>;
  /** Undefined if there is no record of one. */
  readonly backup: Fact<BackupFacts | undefined>;
  /** Undefined if there was none. */
  readonly drill: Fact<DrillFacts | undefined>;
  /** From a new base backup; undefined if there was none. */
  readonly backupDrill: Fact<DrillFacts | undefined>;
  readonly unfinished: Fact<readonly Unfinished[]>;
  /** Undefined if the server here is the primary. */
  readonly primary: Fact<PrimaryFacts | undefined>;
  /** Undefined if the server here is the primary. */
  readonly primaryClock: Fact<ClockOffset | undefined>;
  /** Undefined if no INI file here names any. */
  readonly standbys: Fact<readonly OtherStandby[] | undefined>;
  /** Undefined if the server here is the primary. */
  readonly failover: Fact<FailoverFacts | undefined>;
  readonly loss: Fact<LossFacts | undefined>;
  readonly disks: readonly DiskFacts[];
}

/** Those that are looked at; the others follow from them. */
export type Shown = Omit<StandbyFacts, 'loss' | 'disks' | 'archiveLag' | 'streamLag' | 'failover'> & {
  readonly now: Fact<FailoverNow>;
};
