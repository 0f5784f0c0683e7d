/** By how many bytes a batch would make what lives in the log larger: asked only when it is over its limit. */

import { type Change, storedCost } from '../core/index.ts';
import type { Catalog, CatalogSession } from './catalog.ts';

/** Bytes of a record without a message, roughly. */
const recordBytes = 64;

/** An estimate in bytes; not above 0 for a batch that only gives back. */
export function growthOf(changes: readonly Change[], catalog: Catalog): number {
  const releases = new Map<number, number>();
  /** What the batch itself queues, to be taken back when it settles it too. */
  const queued = new Map<string, number>();
  let growth = 0;
  const release = (session: CatalogSession, sequence: number): void => {
    const entry = session.entries.get(sequence);
    if (entry === null) return;
    growth -= entry.length;
    if (entry.messageId === 0) return;
    const count = (releases.get(entry.messageId) ?? 0) + 1;
    releases.set(entry.messageId, count);
    if (count === catalog.messageReferences(entry.messageId)) {
      growth -= catalog.messagePlace(entry.messageId)?.length ?? 0;
    }
  };
  for (const change of changes) {
    switch (change.kind) {
      case 'queued': {
        const bytes = storedCost(change.delivery.message);
        queued.set(`${change.incarnation} ${change.delivery.sequence}`, bytes);
        growth += bytes;
        break;
      }
      case 'settled': {
        growth -= queued.get(`${change.incarnation} ${change.sequence}`) ?? 0;
        const session = catalog.sessions.get(change.incarnation);
        if (session !== undefined) release(session, change.sequence);
        break;
      }
      case 'session-ended': {
        const session = catalog.sessions.get(change.incarnation);
        for (const entry of session?.entries.above(Number.NEGATIVE_INFINITY) ?? []) growth -= entry.length;
        growth -= session?.place?.length ?? 0;
        break;
      }
      case 'retained':
        growth += storedCost(change.message) - (catalog.retained.get(change.topic)?.length ?? 0);
        break;
      case 'unretained':
        growth -= catalog.retained.get(change.topic)?.length ?? 0;
        break;
      case 'session':
        growth += recordBytes - (catalog.sessions.get(change.session.incarnation)?.place?.length ?? 0);
        break;
      case 'subscribed':
      case 'received':
        growth += recordBytes;
        break;
      default:
    }
  }
  return growth;
}
