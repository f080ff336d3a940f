import java.time.Duration;
import java.util.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.*;

/** For each line of its input a topic: made, written to, read from, and every second one deleted. Says `done <line>`. */
public class KafkaWork {
    public static void main(String[] arguments) throws Exception {
        Map<String, Object> settings = Map.of("bootstrap.servers", arguments[0], "auto.offset.reset", "earliest");
        try (Admin admin = Admin.create(settings);
             Producer<String, String> producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer());
             Consumer<String, String> consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer());
             Scanner lines = new Scanner(System.in)) {
            while (lines.hasNextLine()) {
                String name = lines.nextLine();
                String topic = "topic-" + name;
                admin.createTopics(List.of(new NewTopic(topic, 2, (short) 2))).all().get();
                producer.send(new ProducerRecord<>(topic, 0, "key", name)).get();
                consumer.assign(List.of(new TopicPartition(topic, 0)));
                ConsumerRecords<String, String> records = ConsumerRecords.empty();
                while (records.isEmpty()) {
                    records = consumer.poll(Duration.ofMillis(100));
                }
                if (!records.iterator().next().value().equals(name)) {
                    throw new IllegalStateException("another record");
                }
                if (Integer.parseInt(name) % 2 == 1) {
                    admin.deleteTopics(List.of(topic)).all().get();
                }
                System.out.println("done " + name);
                System.out.flush();
            }
            System.out.println("topics " + String.join(" ", new TreeSet<>(admin.listTopics().names().get())));
        }
    }
}
