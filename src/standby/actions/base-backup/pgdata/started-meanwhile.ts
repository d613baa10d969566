import { refusal } from '../../../../errors.ts';
import { readPostmaster } from '../../../../system/postmaster.ts';
import { serverObjections } from '../../../host/place.ts';
import { isOverruled } from '../../../steps/objections.ts';
import type { BackupFacts } from '../facts.ts';

/**
 * Refuses if a server was started on pgdata since the first check. The checkpoint at the start of the backup, or the
 * transfer by pg_basebackup, takes long enough for an operator to start one.
 */
export async function refuseServerStartedMeanwhile({ place, force }: BackupFacts): Promise<void> {
  const now = { ...place, postmaster: await readPostmaster(place.pgdata) };
  const [objection] = serverObjections(now).filter((one) => !isOverruled(one, force));
  if (objection === undefined) return;
  throw refusal(objection.message, {
    detail: 'This was not the case when the run began. Nothing was copied over it.',
    hint: objection.hint,
  });
}
