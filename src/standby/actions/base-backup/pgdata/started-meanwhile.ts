import { refusal } from '../../../../errors.ts';
import { readPostmaster } from '../../../../system/postmaster.ts';
import { serverObjections } from '../../../host/place.ts';
import { isOverruled } from '../../../steps/objections.ts';
import type { BackupFacts } from '../facts.ts';

/**
 * Refuses when a server has come up on pgdata since this run looked first: the checkpoint that the backup begins with, or all
 * that pg_basebackup receives, takes long enough for the operator to start one.
 */
export async function refuseServerStartedMeanwhile({ place, force }: BackupFacts): Promise<void> {
  const now = { ...place, postmaster: await readPostmaster(place.pgdata) };
  const [objection] = serverObjections(now).filter((one) => !isOverruled(one, force));
  if (objection === undefined) return;
  throw refusal(objection.message, {
    detail: 'It was not so when this run began. Nothing was copied over it.',
    hint: objection.hint,
  });
}
