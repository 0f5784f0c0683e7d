/**
 * Mount points: the clients of a listener have topics of their own, below a text that only the broker sees.
 *
 * The text is put before every name that comes in and cut off every name that goes out; whatever lies elsewhere does not exist for
 * them. Nor do names that begin with `$`: below a mount point `#` would match them, which it must not [MQTT-4.7.2-1].
 */

import type { TopicMapping } from './ports.ts';

/** `inner`: the mapping of the verdict, from the names of the peer to those below the mount point. Null: names are what they are. */
export function mounted(mountPoint: string | undefined, inner: TopicMapping | null): TopicMapping | null {
  return mountPoint === undefined || mountPoint === '' ? inner : new MountPoint(mountPoint, inner);
}

class MountPoint implements TopicMapping {
  private readonly prefix: string;
  private readonly inner: TopicMapping | null;

  constructor(prefix: string, inner: TopicMapping | null) {
    this.prefix = prefix;
    this.inner = inner;
  }

  topicIn(topic: string): string | null {
    const name = this.inner === null ? topic : this.inner.topicIn(topic);
    return name === null || name.startsWith('$') ? null : this.prefix + name;
  }

  topicOut(topic: string): string | null {
    if (!topic.startsWith(this.prefix)) return null;
    const name = topic.slice(this.prefix.length);
    if (name === '' || name.startsWith('$')) return null;
    return this.inner === null ? name : this.inner.topicOut(name);
  }

  filterIn(filter: string): string | null {
    const name = this.inner === null ? filter : this.inner.filterIn(filter);
    if (name === null) return null;
    const [share = ''] = /^\$share\/[^/]*\//.exec(name) ?? [];
    const plain = name.slice(share.length);
    return plain === '' || plain.startsWith('$') ? null : share + this.prefix + plain;
  }
}
