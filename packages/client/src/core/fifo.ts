/** First in, first out. What was taken is forgotten in one piece now and then: to move the rest up for every item would be too dear. */

const forgottenMin = 1024;

export class Fifo<Item> {
  #items: Item[] = [];
  /** Items before this one were taken. */
  #head = 0;

  /** What is there, in order. */
  get items(): Item[] {
    return this.#items.slice(this.#head);
  }

  set items(items: Item[]) {
    this.#items = items;
    this.#head = 0;
  }

  push(item: Item): void {
    this.#items.push(item);
  }

  /** The oldest; undefined when there is none. */
  peek(): Item | undefined {
    return this.#items[this.#head];
  }

  /** Takes the oldest. */
  shift(): void {
    this.#head++;
    const { length } = this.#items;
    if (this.#head === length) {
      this.#items.length = 0;
      this.#head = 0;
    } else if (this.#head >= forgottenMin && this.#head * 2 >= length) this.items = this.items;
  }
}
