"""The word lists behind the pretraining text of the demo base model.

The grammar in ``demo_corpus`` decides the shapes of sentences; this module only says which words exist
and how they inflect. Records are kept as short lines with ``|`` between the fields, because a line is
easier to read and to extend than a nested Python literal.
"""

# One record is one line.

from __future__ import annotations


def words(text: str) -> list[str]:
    """Split a comma-separated list over any number of lines."""
    return [part.strip() for part in text.replace("\n", " ").split(",") if part.strip()]


def records(text: str, fields: int) -> list[tuple[str, ...]]:
    """Split one record a line, fields separated by ``|``; a line of the wrong length is an error."""
    rows = [tuple(part.strip() for part in line.split("|")) for line in text.strip().splitlines()]
    for row in rows:
        if len(row) != fields:
            raise ValueError(f"{len(row)} fields instead of {fields}: {row}")
    return rows


GIRLS = words("""Mia, Anna, Lily, Sara, Nora, Ella, Ruth, Clara, Iris, Maya, Tessa, Jane, Alma, Vera, Rosa,
Lena, Hanna, Emma, Julia, Olga, Wendy, Lucy, Grace, Eva, Marta, Nina, Paula, Greta, Ida, Amy, Kate, Sofia,
Helen, Alice, Dora, Fiona, Lotte, Petra, Zoe, Molly, Ada, June""")
BOYS = words("""Tom, Ben, Leo, Max, Sam, Jack, Paul, Oscar, Finn, Hugo, Peter, Adam, Noah, Felix, Emil, Carl,
Victor, Simon, Martin, Theo, Jonas, Luke, David, Anton, Eric, Henry, Oliver, Toby, Will, Daniel, Frank,
George, Ivan, Karl, Marco, Nico, Otto, Robin, Ralph, Walter, Alan, Louis""")
TOWNS = words("""Alder, Millbrook, Northfield, Westbay, Oakham, Riverton, Stonebridge, Ferndale, Harbour Hill,
Greenwick, Lakemoor, Ashford, Elmstead, Brightwater, Coldbrook, Fairhaven, Marlow, Redcliff, Sandport,
Thornley, Willowby, Birchwood, Eastmere, Hillcrest, Kettleby, Longmead, Newgate, Pinewood, Saltmarsh""")

# singular | plural | where it lives | what it eats | what it does (3rd person) | a fact about its body
ANIMALS = records(
    """
fox | foxes | in the woods | mice and berries | hunts at night | a long red tail
rabbit | rabbits | in a burrow under the field | grass and leaves | runs away when it hears a noise | long soft ears
owl | owls | in an old tree | mice and beetles | flies without a sound | large round eyes
hedgehog | hedgehogs | under the hedge | worms and slugs | rolls into a ball when it is afraid | short sharp spines
squirrel | squirrels | high in the trees | nuts and seeds | hides food for the winter | a thick bushy tail
duck | ducks | on the pond | water plants and snails | swims in small circles | wide webbed feet
goose | geese | near the lake | grass and grain | flies south in autumn | a long strong neck
frog | frogs | beside the pond | flies and small worms | jumps into the water | smooth green skin
heron | herons | along the river | fish and frogs | stands still for a long time | long thin legs
otter | otters | in the river | fish and crabs | floats on its back | thick warm fur
beaver | beavers | in the stream | bark and leaves | builds dams from sticks | strong front teeth
badger | badgers | under the hill | roots and worms | digs deep tunnels | a black and white face
deer | deer | at the edge of the forest | leaves and young shoots | listens before it moves | slender legs
wolf | wolves | in the mountains | deer and hares | lives in a family group | a keen sense of smell
bear | bears | in the northern forest | fish, roots and honey | sleeps through the winter | heavy paws
mouse | mice | behind the wall | crumbs and grain | makes a nest of paper | small bright eyes
cat | cats | in the house | meat and fish | sleeps in warm places | quick paws
dog | dogs | with people | meat and bread | follows its owner | a good nose
horse | horses | in the stable | hay and oats | gallops across the field | a strong back
cow | cows | in the meadow | grass and hay | gives milk every day | a wide soft nose
sheep | sheep | on the hillside | grass and clover | stays close to the flock | thick curly wool
goat | goats | on the rocky slope | leaves and thistles | climbs steep rocks | short curved horns
pig | pigs | on the farm | roots and kitchen scraps | digs in the mud | a flat round nose
hen | hens | in the yard | grain and worms | lays an egg most mornings | soft brown feathers
donkey | donkeys | in the small barn | hay and carrots | carries heavy loads | long grey ears
crow | crows | on the roof | seeds and insects | solves small puzzles | shiny black wings
robin | robins | in the garden | worms and berries | sings early in the morning | a bright red breast
swallow | swallows | under the roof of the barn | small flies | returns every spring | a forked tail
eagle | eagles | on the high cliff | fish and rabbits | circles above the valley | broad wings
gull | gulls | by the sea | fish and scraps | cries above the harbour | white and grey wings
seal | seals | on the rocks by the sea | fish and squid | dives deep under the waves | smooth grey fur
whale | whales | in the open sea | small sea animals | breathes at the surface | a huge tail
dolphin | dolphins | in the warm sea | fish | swims beside the boats | a smooth curved fin
crab | crabs | on the beach | small shells and weeds | walks sideways | a hard shell
turtle | turtles | in the warm bay | sea grass | swims slowly and lives long | a round hard shell
snail | snails | in the damp garden | soft leaves | carries its house on its back | a spiral shell
bee | bees | in the hive | nectar and pollen | dances to show the way to flowers | four thin wings
ant | ants | under the stones | seeds and dead insects | works together with many others | strong jaws
spider | spiders | in the corner of the shed | flies and moths | spins a fine web | eight thin legs
butterfly | butterflies | in the flower meadow | nectar | rests with closed wings | bright patterned wings
moth | moths | near the lamp | nectar | flies toward the light | soft pale wings
beetle | beetles | under the bark | wood and leaves | hides from the sun | a shiny hard back
bat | bats | in the cave | moths and mosquitoes | finds its way by sound | thin wings of skin
lizard | lizards | on the warm wall | ants and spiders | lies in the sun | a long thin tail
camel | camels | in the desert | dry plants | walks for days without water | a large hump
elephant | elephants | on the grassy plain | leaves and bark | remembers the way to water | a long trunk
lion | lions | on the dry plain | large animals | rests in the shade | sharp claws
monkey | monkeys | in the rainforest | fruit and leaves | swings from branch to branch | clever hands
parrot | parrots | in the tall forest | nuts and fruit | copies voices | a curved beak
penguin | penguins | on the icy coast | fish | keeps its egg warm on its feet | short stiff wings
""",
    6,
)

_CARRIED = words("""rabbit, owl, hedgehog, squirrel, duck, frog, otter, badger, mouse, cat, dog, hen, crow, robin,
swallow, gull, turtle, bat, lizard, goose, fox""")
# Animals that a child can carry home.
SMALL_ANIMALS = [row for row in ANIMALS if row[0] in _CARRIED]

# singular | plural | what it is used to do | what it is made of
TOOLS = records(
    """
hammer | hammers | drive nails into wood | steel and wood
saw | saws | cut boards | steel
screwdriver | screwdrivers | turn screws | steel and plastic
spade | spades | dig the soil | iron and wood
rake | rakes | gather leaves | wood and wire
ladder | ladders | reach high places | aluminium
rope | ropes | tie things together | hemp
needle | needles | sew cloth | steel
brush | brushes | spread paint | wood and hair
ruler | rulers | measure short lengths | wood
compass | compasses | find the north | brass and glass
lantern | lanterns | light the path | tin and glass
kettle | kettles | boil water | copper
knife | knives | slice bread | steel
spoon | spoons | stir soup | wood
bowl | bowls | mix flour and eggs | clay
basket | baskets | carry fruit | willow
bucket | buckets | carry water | tin
broom | brooms | sweep the floor | straw
axe | axes | split logs | iron and wood
wrench | wrenches | loosen bolts | steel
drill | drills | make holes | steel
pump | pumps | move water | iron
wheelbarrow | wheelbarrows | move earth | wood and iron
scale | scales | weigh flour | brass
clock | clocks | tell the time | brass and glass
telescope | telescopes | look at the stars | brass and glass
microscope | microscopes | look at very small things | metal and glass
thermometer | thermometers | measure heat | glass
keyboard | keyboards | type words and commands | plastic
printer | printers | put text on paper | plastic and metal
camera | cameras | take pictures | metal and glass
radio | radios | listen to music and news | wood and wire
pencil | pencils | write notes | wood
notebook | notebooks | keep ideas and numbers | paper
umbrella | umbrellas | keep off the rain | cloth and wire
wheel | wheels | move heavy loads | wood
net | nets | catch fish | string
oven | ovens | bake bread | brick
bellows | bellows | blow air into the fire | leather and wood
""",
    4,
)

# singular | plural | where it grows | when it flowers or ripens | a fact
PLANTS = records(
    """
apple tree | apple trees | in the orchard | in autumn | its fruit is red or green
oak | oaks | in the old forest | late in the year | it can live for hundreds of years
birch | birches | on poor soil | in spring | its bark is white and thin
pine | pines | on the mountain | all year round | its cones open when they are dry
willow | willows | beside the river | early in spring | its branches bend down to the water
sunflower | sunflowers | in the open field | in late summer | its seeds form two sets of spirals
daisy | daisies | in the short grass | from spring to autumn | its petals close in the evening
rose | roses | along the garden wall | in early summer | its stems have sharp thorns
tulip | tulips | in the flower bed | in spring | it grows from a bulb
fern | ferns | in the damp shade | all summer long | its young leaves are rolled into spirals
pineapple | pineapples | in warm countries | after two years | its scales form spirals
cactus | cacti | in the desert | after rain | it stores water in its thick stem
potato | potatoes | under the ground | in late summer | it likes loose soil
carrot | carrots | in the kitchen garden | in autumn | its root is sweet and orange
tomato | tomatoes | against the warm wall | in summer | it needs much sun
bean | beans | along tall sticks | in summer | it climbs in a spiral
pumpkin | pumpkins | on the compost heap | in autumn | it can grow very large
strawberry | strawberries | close to the ground | in early summer | it sends out long runners
mint plant | mint plants | in wet corners | in summer | its leaves smell fresh
lavender bush | lavender bushes | on dry slopes | in summer | bees visit it all day
mushroom | mushrooms | under the trees | after autumn rain | it feeds on old wood
""",
    5,
)

# name | plural | what they do (plural verb phrase) | where they work | what they use
JOBS = records(
    """
baker | bakers | bake bread before sunrise | in the bakery | a hot oven
farmer | farmers | look after the fields and the animals | on the farm | a tractor
teacher | teachers | explain new things | at the school | books and chalk
doctor | doctors | help sick people | in the clinic | a good ear
nurse | nurses | care for patients | in the hospital | clean bandages
carpenter | carpenters | build tables and doors | in the workshop | a saw and a plane
gardener | gardeners | plant trees and flowers | in the park | a spade and a rake
fisherman | fishermen | catch fish | on the sea | strong nets
sailor | sailors | sail ships across the sea | in the harbour | ropes and maps
librarian | librarians | keep the books in order | in the library | a long list
painter | painters | paint walls and pictures | in the studio | brushes and colours
tailor | tailors | sew coats and shirts | in the small shop | a needle and thread
cook | cooks | prepare warm meals | in the kitchen | sharp knives
builder | builders | raise walls and roofs | on the building site | bricks and mortar
postman | postmen | bring letters and parcels | in every street | a yellow bicycle
mechanic | mechanics | repair engines | in the garage | wrenches and oil
engineer | engineers | design bridges and machines | in the office | careful drawings
programmer | programmers | write programs | at a desk | a keyboard and a terminal
musician | musicians | play songs for others | in the concert hall | an old violin
shepherd | shepherds | guard the sheep | on the hills | a patient dog
miller | millers | grind grain into flour | in the mill | two round stones
potter | potters | shape clay into bowls | at the wheel | wet clay
clockmaker | clockmakers | mend clocks and watches | in a quiet room | tiny screws
beekeeper | beekeepers | take care of the hives | behind the orchard | smoke and a veil
scientist | scientists | test ideas with care | in the laboratory | instruments and notes
astronomer | astronomers | watch the stars | on the hill | a large telescope
writer | writers | tell stories on paper | at home | a pencil and a notebook
driver | drivers | carry people from place to place | on the road | a bus
blacksmith | blacksmiths | bend hot iron | in the forge | a hammer and an anvil
weaver | weavers | make cloth | in the mill house | a wooden loom
""",
    5,
)

# Small things a child may own, lose, find, lend or mend: singular, without article.
THINGS = words("""ball, kite, wooden boat, red scarf, blue hat, silver key, toy train, book of maps, music box,
paper bird, tin drum, glass marble, woollen glove, green bag, pocket watch, small bell, old coin, flute,
drawing, notebook, pencil case, lantern, umbrella, yellow raincoat, jar of buttons, puzzle, little mirror,
leather belt, toy horse, rag doll, wooden whistle, box of paints, letter, photograph, straw basket, ring,
feather, round stone, shell, magnifying glass, ticket, necklace, cup with a star on it, torch, sketchbook,
tennis racket, pair of skates, bicycle bell, woollen blanket, spinning top, model plane, chess set, ladder,
songbook, compass, harmonica, seed packet, wooden spoon, clay pot, picture frame, purple ribbon, button""")

FOODS = words("""bread, soup, cheese, apple pie, pancakes, porridge, rice, noodles, salad, fried eggs, stew,
honey cake, baked potatoes, fresh fish, plum jam, warm milk, tea, cocoa, roasted nuts, pears, cherries,
oat biscuits, tomato soup, bean stew, yoghurt, raisin buns, corn bread, mushroom pie, carrot cake""")

INGREDIENTS = words("""flour, butter, sugar, milk, salt, honey, rice, onions, carrots, potatoes, beans, lentils,
tomatoes, cheese, cream, oats, apples, pears, plums, raisins, nuts, garlic, parsley, mint, pepper, cabbage,
leeks, mushrooms, spinach, peas, corn, oil, vinegar, yeast, cinnamon, lemon juice""")

# A dish and three things that belong into it, so that a recipe is one that a cook would know.
DISHES = records(
    """
vegetable soup | carrots | leeks | salt
apple pie | flour | apples | cinnamon
oat porridge | oats | milk | honey
potato salad | potatoes | onions | vinegar
bean stew | beans | tomatoes | garlic
rice pudding | rice | milk | sugar
flat bread | flour | water | salt
honey cake | flour | butter | honey
tomato sauce | tomatoes | garlic | oil
lentil soup | lentils | carrots | parsley
pancake batter | flour | milk | butter
fruit salad | apples | pears | lemon juice
mushroom pie | flour | mushrooms | cream
plum jam | plums | sugar | lemon juice
corn bread | corn flour | milk | salt
pea soup | peas | onions | mint
cabbage rolls | cabbage | rice | pepper
cheese pie | flour | cheese | cream
raisin buns | flour | raisins | yeast
spinach omelette | eggs | spinach | pepper
""",
    4,
)

ADJ_PERSON = words("""kind, clever, quiet, brave, cheerful, curious, patient, shy, lively, careful, honest, gentle,
stubborn, thoughtful, busy, friendly, polite, proud, lazy, sleepy, hopeful, modest, generous, funny""")
ADJ_SIZE = words("""small, large, tiny, big, huge, little, tall, short, long, narrow, wide, thin, thick, round""")
ADJ_LOOK = words("""old, new, bright, dark, clean, dusty, shiny, pale, pretty, plain, broken, rusty, smooth, rough,
soft, heavy, light, warm, cold, strange, beautiful, simple, colourful, worn, fine, solid, fresh, dry, wet""")
COLOURS = words("""red, blue, green, yellow, white, black, brown, grey, orange, purple, pink, golden, silver""")
MOODS = words("""happy, glad, proud, pleased, relieved, cheerful, content, grateful""")
BAD_MOODS = words("""sad, worried, upset, nervous, afraid, disappointed, lonely, cross, tired, uneasy""")
ADVERBS = words("""slowly, quickly, carefully, quietly, gently, softly, calmly, suddenly, patiently, happily,
silently, eagerly, neatly, proudly, politely""")
MOVED = words("""walked, ran, hurried, went, cycled, strolled, marched, wandered""")
MATERIALS = words("""wood, stone, glass, iron, copper, paper, wool, cotton, leather, clay, silver, gold, tin, wax,
steel, brick, sand, rubber, silk, plastic""")
ROOMS = words("""kitchen, attic, cellar, hall, bedroom, workshop, library, shed, study, pantry, classroom, office""")
PARTS_OF_DAY = words("""morning, afternoon, evening""")
DAYS = words("""Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday""")
MONTHS = words("""January, February, March, April, May, June, July, August, September, October, November, December""")
SEASONS = words("""spring, summer, autumn, winter""")

# place as a goal ("to ...") and the same as a location ("in ..."), and what one sees there
PLACES = records(
    """
the market | at the market | the stalls were full of fruit and cloth
the park | in the park | children played on the grass
the library | in the library | tall shelves stood along the walls
the harbour | at the harbour | the boats moved up and down in the water
the forest | in the forest | the light fell green through the leaves
the beach | on the beach | the waves rolled over the sand
the river | by the river | the water ran clear over the stones
the lake | by the lake | the water was as smooth as glass
the mill | at the mill | the big wheel turned in the stream
the station | at the station | people waited for the next train
the farm | on the farm | hens walked about in the yard
the school | at the school | drawings hung on every wall
the bakery | in the bakery | the air smelled of warm bread
the hill | on the hill | the whole town could be seen
the old bridge | on the old bridge | the river could be heard below
the museum | in the museum | old tools lay behind glass
the garden | in the garden | bees hummed around the flowers
the workshop | in the workshop | tools hung in a neat row
the meadow | in the meadow | the grass was high and full of flowers
the square | in the square | a fountain splashed in the sun
the lighthouse | at the lighthouse | the great lamp stood still in the daylight
the orchard | in the orchard | the branches were heavy with fruit
the castle | at the castle | ivy grew over the grey walls
the island | on the island | birds nested between the rocks
the village | in the village | smoke rose from the chimneys
the post office | at the post office | parcels were stacked behind the counter
the campsite | at the campsite | a small fire burned between the tents
the theatre | in the theatre | rows of red seats faced the stage
the greenhouse | in the greenhouse | the air was warm and damp
the valley | in the valley | the fields lay like a green carpet
the computer room | in the computer room | screens glowed in the dim light
the fair | at the fair | music came from every tent
""",
    3,
)

SKILLS = records(
    """
to swim | swimming | swim
to ride a bicycle | riding a bicycle | ride
to play the violin | playing the violin | play
to paint | painting | paint
to bake bread | baking bread | bake bread
to read maps | reading maps | read maps
to tie strong knots | tying knots | tie knots
to skate | skating | skate
to sing | singing | sing
to draw animals | drawing animals | draw animals
to count in another language | counting | count
to write stories | writing stories | write stories
to sew | sewing | sew
to juggle | juggling | juggle
to play chess | playing chess | play chess
to whistle | whistling | whistle
to climb | climbing | climb
to row a boat | rowing | row
to type without looking | typing | type
to write programs | writing programs | write programs
to plant seeds | planting seeds | plant seeds
to build kites | building kites | build kites
to mend shoes | mending shoes | mend shoes
to play the flute | playing the flute | play the flute
to cook soup | cooking soup | cook soup
to dance | dancing | dance
to use a compass | using a compass | use a compass
to speak in front of others | speaking | speak
""",
    3,
)

# past sentence | effect on people (past)
WEATHER = records(
    """
it rained all morning | everyone stayed inside
the sun shone from a clear sky | people sat outside in the warm air
a cold wind blew from the north | people pulled their coats close
thick fog lay over the fields | nobody could see the church tower
snow covered the roofs | the streets were very quiet
the air was hot and still | even the dogs lay in the shade
dark clouds came over the hills | the birds stopped singing
a light rain began to fall | umbrellas opened all along the street
the storm had passed in the night | branches lay on the road
the first frost was on the grass | every leaf had a white edge
a soft breeze came from the sea | the flags moved lightly
the moon was full | the road was bright enough to walk on
thunder rolled in the distance | the cat hid under the bed
the sky was grey and low | lamps were lit early
the morning was bright and fresh | windows were opened everywhere
ice had formed on the pond | the children wanted to skate
""",
    2,
)

RELATIVES_F = words("""mother, grandmother, aunt, older sister, little sister, cousin, neighbour, teacher""")
RELATIVES_M = words("""father, grandfather, uncle, older brother, little brother, cousin, neighbour, teacher""")
FRIENDSHIP = words("""friend, best friend, classmate, neighbour, cousin""")

# thing to build or mend | the problem | the fix (past tense, after "they")
PROJECTS = records(
    """
a tree house | the ladder was too short | tied a second ladder to the first
a raft | the logs drifted apart | bound the logs with a longer rope
a kite | the tail was too heavy | cut the tail in half
a small bridge over the stream | the boards bent in the middle | put a stone under the boards
a bird box | the hole was too narrow | made the hole wider with a file
a wooden cart | one wheel would not turn | put some oil on the axle
a snow fort | the wall kept falling down | packed the snow more firmly
a garden bench | one leg was shorter than the others | sawed a little off the other legs
a sand castle | the water came too close | dug a deep ditch around it
a lantern | the candle went out in the wind | closed the side with thin paper
a model ship | the mast would not stand up | fixed the mast with thread
a paper dragon | the head was too heavy | used thinner paper for the head
a radio | no sound came out of it | found a loose wire and joined it
a windmill | the arms did not turn | bent each arm a little
a rabbit hutch | the door would not close | moved the hinge a little lower
a soap-box car | it pulled to the left | made the left rope a little longer
a puppet theatre | the curtain was stuck | rubbed the string with wax
a water wheel | the stream was too slow | moved the wheel to a narrower place
""",
    3,
)

LESSONS = words("""a small step every day takes you far, it is better to ask than to guess,
good work needs time, a friend is worth more than a prize, the truth is the easiest thing to remember,
two heads are better than one, a mistake is a chance to learn, patience opens many doors,
it is good to share what you have, it helps to look twice, what is kept in order is easy to find,
being kind costs nothing, practice makes hard things easy, a plan saves much trouble,
it is wise to keep a copy of what matters, nobody is too small to help""")
